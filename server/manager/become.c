#include "server/manager/become.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/manager/join.h"
#include "server/manager/raft_node.h"
#include "server/net/authority.h"
#include "server/net/log.h"
#include "server/net/pem.h"
#include "storage/directory.h"
#include "storage/tables.h"

/* Takes the sentence. */
static int failed(char *problem)
{
    fprintf(stderr, "cais manager: %s\n", problem);
    free(problem);
    return BECOME_FAILED;
}

static int failed_at(const char *what, const char *where, int r)
{
    return failed(mem_format("%s: %s: %s", what, where, strerror(-r)));
}

/* ---- there before */

static int recover(const struct manager_options *options, struct env *env, const struct self *self)
{
    scope(txn_abort) struct txn *txn = NULL;
    uint64_t index = 0;
    int r = env_write(env, &txn);

    if (r == 0)
        r = raft_node_recover(txn, &self->member, &index);
    if (r == RAFT_NODE_ABSENT)
        return failed(mem_format("%s: it has joined a cluster and has nothing of its state yet: "
                                 "recover another manager",
                                 options->dir));
    if (r == 0)
        r = txn_commit(steal(txn));
    if (r < 0)
        return failed_at("cannot recover", options->dir, r);
    log_setup(self->member.name, LOG_INFO);
    log_info("manager.recovered id=%" PRIu64 " name=%s index=%" PRIu64, self->member.id,
             self->member.name, index);
    printf("The manager %s is the only one of its cluster now, with all that it has, up to index "
           "%" PRIu64 ".\nStart it without --recover. The lost ones must not be started again: "
           "give them empty directories\nand let them join.\n",
           self->member.name, index);
    return BECOME_DONE;
}

static struct bytes bytes_of(const struct buffer *buffer)
{
    return (struct bytes){buffer->base, buffer->len};
}

/* Has the first leader stored them? */
static bool has_settings(struct env *env)
{
    scope(txn_abort) struct txn *txn = NULL;
    State__Settings *settings = NULL;
    bool found = env_read(env, &txn) == 0 && table_settings(txn, &settings) == 0;

    if (settings)
        state__settings__free_unpacked(settings, NULL);
    return found;
}

static int take_up_credentials(const struct manager_options *options, struct env *env,
                               struct become *out)
{
    int r = credentials_load(options->dir, &out->credentials);

    if (r == -ENOENT)
        return failed(mem_format("%s/identity lacks a file: without its key and certificates no "
                                 "other manager would speak to this one; give it an empty "
                                 "directory and let it join anew",
                                 options->dir));
    if (r == 0 && has_settings(env))
        credentials_forget(options->dir);
    if (r == 0)
        r = credentials_kept(options->dir, &out->authority_key);
    if (r < 0 && r != -ENOENT)
        return failed_at("the identity of this manager", options->dir, r);
    return 0;
}

static int go_on(const struct manager_options *options, struct env *env, struct become *out)
{
    char *problem = self_contradiction(options, &out->self);

    if (problem)
        return failed(problem);
    return options->recover ? recover(options, env, &out->self)
                            : take_up_credentials(options, env, out);
}

/* ---- not there before */

static int describe(const struct manager_options *options, struct credentials *credentials,
                    struct buffer *out_request, struct member *out)
{
    char *problem = self_describe(options, out);
    int r;

    if (problem)
        return failed(problem);
    r = credentials_begin(options->dir, credentials, out_request, out->key);
    return r < 0 ? failed_at("the key of this manager", options->dir, r) : 0;
}

static int make_token(struct token *out)
{
    struct token token = {.role = TOKEN_MANAGER};

    if (getrandom(token.secret, sizeof token.secret, 0) != sizeof token.secret ||
        getrandom(&token.id, sizeof token.id, 0) != sizeof token.id)
        return err_new(-EIO);
    if (token.id == 0)
        token.id = 1;
    *out = token;
    return 0;
}

/* The authority that a backup holds. -ENOENT: none. */
static int find_authority(struct env *env, struct become *out)
{
    scope(txn_abort) struct txn *txn = NULL;
    State__Settings *settings = NULL;
    int r = env_read(env, &txn);

    if (r == 0)
        r = table_settings(txn, &settings);
    if (r == 0 && settings->ca_certificate.len > 0) {
        buffer_append(&out->credentials.authority, settings->ca_certificate.data,
                      settings->ca_certificate.len);
        buffer_append(&out->authority_key, settings->ca_key.data, settings->ca_key.len);
    } else if (r >= 0) {
        r = err_new(-ENOENT);
    }
    if (settings)
        state__settings__free_unpacked(settings, NULL);
    return r;
}

/* Our own certificate, by the authority that we have. */
static int sign(const struct become *become, struct bytes request, struct buffer *out)
{
    scope(authority_free) struct authority *authority = NULL;
    const struct authority_grant grant = {
        .cluster = become->self.cluster,
        .role = IDENTITY_MANAGER,
        .id = become->self.member.id,
        .now_s = time(NULL),
    };

    if (authority_open(bytes_of(&become->credentials.authority), bytes_of(&become->authority_key),
                       &authority) != 0 ||
        authority_issue(authority, &grant, request, out) != 0)
        return err_new(-EUCLEAN);
    return 0;
}

/* Everything by which the others will know a cluster and its first manager. */
static int certify(const struct manager_options *options, struct env *restored,
                   struct bytes request, struct become *out)
{
    struct credentials *credentials = &out->credentials;
    int r = 0;

    if (restored)
        r = find_authority(restored, out);
    else
        authority_create(out->self.cluster, time(NULL), &credentials->authority,
                         &out->authority_key);
    if (r == 0)
        r = sign(out, request, &credentials->certificate);
    if (r == 0)
        r = credentials_save(options->dir, credentials);
    if (r == 0)
        r = credentials_keep(options->dir, bytes_of(&out->authority_key));
    if (r == 0 && identity_pem_digest(bytes_of(&credentials->authority), out->token.authority) != 0)
        r = err_new(-EUCLEAN);
    return r < 0 ? err_up(r) : 0;
}

/* Restored: the cluster whose backup is there, or NULL. */
static int bootstrap(const struct manager_options *options, struct env *env, const char *restored,
                     struct become *out)
{
    scope(buffer_fini) struct buffer request = {0};
    struct member described;
    int r = describe(options, &out->credentials, &request, &described);

    if (r != 0)
        return r;
    r = self_begin(&described, &out->self);
    if (r == 0)
        r = make_token(&out->token);
    if (r == 0 && restored)
        snprintf(out->self.cluster, sizeof out->self.cluster, "%s", restored);
    if (r == 0)
        r = certify(options, restored ? env : NULL, bytes_of(&request), out);
    if (r < 0)
        return failed_at("cannot bootstrap", options->dir, r);
    out->first = true;
    log_info("manager.bootstraps id=%" PRIu64 " cluster=%s", out->self.member.id,
             out->self.cluster);
    return 0;
}

static int join_cluster(uv_loop_t *loop, const struct manager_options *options, struct env *env,
                        const struct sockaddr_storage *source, struct become *out)
{
    scope(buffer_fini) struct buffer request = {0};
    struct member described;
    struct join_newcomer newcomer = {.described = &described};
    int r = describe(options, &out->credentials, &request, &described);

    if (r != 0)
        return r;
    newcomer.request = bytes_of(&request);
    r = join_run(loop, options, &newcomer, source, &out->credentials, &out->self);
    if (r != 0)
        return r == JOIN_STOPPED ? BECOME_DONE : BECOME_FAILED;
    r = credentials_save(options->dir, &out->credentials);
    if (r == 0)
        r = self_save(env, &out->self);
    if (r < 0)
        return failed_at("cannot store who it is", options->dir, r);
    log_info("manager.joined id=%" PRIu64 " cluster=%s", out->self.member.id, out->self.cluster);
    return 0;
}

/* What was restored no other cluster has. */
static int begin_restored(const struct manager_options *options, struct env *env,
                          const char *cluster, struct become *out)
{
    if (!options->bootstrap)
        return failed(mem_format("%s holds a restored backup: start it with --bootstrap, and a new "
                                 "cluster goes on from there",
                                 options->dir));
    return bootstrap(options, env, cluster, out);
}

int become(uv_loop_t *loop, const struct manager_options *options, struct env *env,
           const struct sockaddr_storage *source, struct become *out)
{
    char restored[SELF_CLUSTER];
    int r = self_load(env, &out->self);

    if (r < 0)
        return err_up(r);
    if (r == 0)
        return go_on(options, env, out);
    r = self_restored(env, restored);
    if (r < 0)
        return err_up(r);
    if (r == 0)
        return begin_restored(options, env, restored, out);
    if (options->bootstrap)
        return bootstrap(options, env, NULL, out);
    if (options->join)
        return join_cluster(loop, options, env, source, out);
    return failed(mem_format("%s holds no state to go on from: --bootstrap begins a new cluster, "
                             "--join joins one",
                             options->dir));
}

void become_fini(struct become *become)
{
    credentials_fini(&become->credentials);
    pem_wipe(&become->authority_key);
}

int become_write_token(const char *dir, const struct token *token)
{
    char *draft = mem_format("%s/.manager.token", dir);
    char *path = mem_format("%s/manager.token", dir);
    char text[TOKEN_TEXT];
    char *line = mem_format("%s\n", token_format(token, text));
    int fd = open(draft, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    int r = fd < 0 ? -errno : 0;

    if (r == 0 && write(fd, line, strlen(line)) != (ssize_t)strlen(line))
        r = -EIO;
    if (r == 0 && fsync(fd) < 0)
        r = -errno;
    if (fd >= 0)
        close(fd);
    if (r == 0 && rename(draft, path) < 0)
        r = -errno;
    if (r == 0)
        r = directory_sync(dir);
    free(line);
    free(draft);
    free(path);
    return err_new(r);
}
