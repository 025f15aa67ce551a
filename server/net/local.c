#include "server/net/local.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/err.h"

/* The address, and the directory to keep open while it is used: -1 where the path itself fits. */
static int make_address(const char *dir, const char *name, struct sockaddr_un *out, int *out_dir)
{
    size_t room = sizeof out->sun_path;
    int fd = -1;

    *out = (struct sockaddr_un){.sun_family = AF_UNIX};
    if ((size_t)snprintf(out->sun_path, room, "%s/%s", dir, name) >= room) {
        fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return err_new(-errno);
        if ((size_t)snprintf(out->sun_path, room, "/proc/self/fd/%d/%s", fd, name) >= room) {
            close(fd);
            return err_new(-ENAMETOOLONG);
        }
    }
    *out_dir = fd;
    return 0;
}

static int new_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
}

static int bind_and_listen(int fd, const struct sockaddr_un *address, int backlog)
{
    unlink(address->sun_path);
    /* The mode of the file follows from the socket's own: no moment at which it is wider. */
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, sizeof *address) < 0 ||
        listen(fd, backlog) < 0)
        return err_new(-errno);
    return 0;
}

static int dial(int fd, const struct sockaddr_un *address)
{
    if (connect(fd, (const struct sockaddr *)address, sizeof *address) < 0)
        return err_new(-errno);
    return 0;
}

int local_listen(const char *dir, const char *name, int backlog, int *out)
{
    struct sockaddr_un address;
    int dir_fd = -1, fd;
    int r = make_address(dir, name, &address, &dir_fd);

    if (r < 0)
        return err_up(r);
    fd = new_socket();
    r = fd < 0 ? err_new(-errno) : bind_and_listen(fd, &address, backlog);
    if (dir_fd >= 0)
        close(dir_fd);
    if (r < 0 && fd >= 0)
        close(fd);
    if (r == 0)
        *out = fd;
    return err_up(r);
}

int local_dial(const char *dir, const char *name, int *out)
{
    struct sockaddr_un address;
    int dir_fd = -1, fd;
    int r = make_address(dir, name, &address, &dir_fd);

    if (r < 0)
        return err_up(r);
    fd = new_socket();
    r = fd < 0 ? err_new(-errno) : dial(fd, &address);
    if (dir_fd >= 0)
        close(dir_fd);
    if (r < 0 && fd >= 0)
        close(fd);
    if (r == 0)
        *out = fd;
    return err_up(r);
}

void local_remove(const char *dir, const char *name)
{
    struct sockaddr_un address;
    int dir_fd = -1;

    if (make_address(dir, name, &address, &dir_fd) < 0)
        return;
    unlink(address.sun_path);
    if (dir_fd >= 0)
        close(dir_fd);
}
