#include "server/manager/credentials.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/net/authority.h"
#include "server/net/pem.h"
#include "storage/directory.h"

static const char KEY[] = "key.pem";
static const char CERTIFICATE[] = "cert.pem";
static const char AUTHORITY[] = "ca.pem";
static const char AUTHORITY_KEY[] = "authority.pem";

static char *path_of(const char *dir, const char *name)
{
    return mem_format("%s/identity/%s", dir, name);
}

static struct bytes bytes_of(const struct buffer *buffer)
{
    return (struct bytes){buffer->base, buffer->len};
}

/* ---- files */

static int read_all(int fd, struct buffer *out)
{
    uint8_t room[IDENTITY_PEM_BYTES + 1];
    ssize_t len = read(fd, room, sizeof room);
    int r = len < 0 ? -errno : len == 0 || len == sizeof room ? -EUCLEAN : 0;

    if (r == 0)
        buffer_append(out, room, (size_t)len);
    explicit_bzero(room, sizeof room);
    return err_new(r);
}

static int load(const char *dir, const char *name, struct buffer *out)
{
    char *path = path_of(dir, name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? err_new(-errno) : read_all(fd, out);

    if (fd >= 0)
        close(fd);
    free(path);
    return r;
}

static int write_draft(const char *path, struct bytes text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    ssize_t len = fd < 0 ? -1 : write(fd, text.base, text.len);
    int r = 0;

    if (len < 0 || (len == (ssize_t)text.len && fsync(fd) < 0))
        r = -errno;
    else if (len != (ssize_t)text.len)
        r = -EIO;
    if (fd >= 0)
        close(fd);
    return err_new(r);
}

static int sync_folder(const char *dir)
{
    char *path = mem_format("%s/identity", dir);
    int r = directory_sync(path);

    free(path);
    return err_up(r);
}

static int save(const char *dir, const char *name, struct bytes text)
{
    char *draft = path_of(dir, ".draft");
    char *path = path_of(dir, name);
    int r = write_draft(draft, text);

    if (r == 0 && rename(draft, path) < 0)
        r = err_new(-errno);
    free(draft);
    free(path);
    return r < 0 ? err_up(r) : err_up(sync_folder(dir));
}

static int make_folder(const char *dir)
{
    char *path = mem_format("%s/identity", dir);
    int r = directory_make(path);

    free(path);
    return err_up(r);
}

/* ---- what they hold */

static int make_key(const char *dir, struct buffer *out_key, struct buffer *out_request)
{
    authority_request(out_key, out_request);
    return err_up(save(dir, KEY, bytes_of(out_key)));
}

int credentials_begin(const char *dir, struct credentials *credentials, struct buffer *out_request,
                      char out_name[MEMBER_KEY_CHARS + 1])
{
    int r = make_folder(dir);

    if (r < 0)
        return err_up(r);
    r = load(dir, KEY, &credentials->key);
    if (r == -ENOENT)
        r = make_key(dir, &credentials->key, out_request);
    else if (r == 0 && authority_request_again(bytes_of(&credentials->key), out_request) != 0)
        r = err_new(-EUCLEAN);
    if (r == 0 && authority_request_key(bytes_of(out_request), out_name) != 0)
        r = err_new(-EUCLEAN);
    return err_up(r);
}

int credentials_save(const char *dir, const struct credentials *credentials)
{
    int r = save(dir, AUTHORITY, bytes_of(&credentials->authority));

    return r < 0 ? err_up(r) : err_up(save(dir, CERTIFICATE, bytes_of(&credentials->certificate)));
}

int credentials_load(const char *dir, struct credentials *credentials)
{
    int r = load(dir, KEY, &credentials->key);

    if (r == 0)
        r = load(dir, CERTIFICATE, &credentials->certificate);
    if (r == 0)
        r = load(dir, AUTHORITY, &credentials->authority);
    return err_up(r);
}

int credentials_keep(const char *dir, struct bytes authority_key)
{
    return err_up(save(dir, AUTHORITY_KEY, authority_key));
}

int credentials_kept(const char *dir, struct buffer *out_authority_key)
{
    return err_up(load(dir, AUTHORITY_KEY, out_authority_key));
}

void credentials_forget(const char *dir)
{
    char *path = path_of(dir, AUTHORITY_KEY);

    if (unlink(path) == 0) /* It may be gone already; and if it comes back, it goes again. */
        (void)sync_folder(dir);
    free(path);
}

struct tls_files credentials_files(const struct credentials *credentials)
{
    return (struct tls_files){bytes_of(&credentials->authority),
                              bytes_of(&credentials->certificate), bytes_of(&credentials->key)};
}

void credentials_fini(struct credentials *credentials)
{
    buffer_fini(&credentials->authority);
    buffer_fini(&credentials->certificate);
    pem_wipe(&credentials->key);
}
