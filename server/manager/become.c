#include "server/manager/become.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "server/manager/join.h"
#include "server/manager/node_key.h"
#include "server/manager/raft_node.h"
#include "server/net/log.h"
#include "storage/directory.h"

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

static int go_on(const struct manager_options *options, struct env *env, const struct self *self)
{
    char *problem = self_contradiction(options, self);

    if (problem)
        return failed(problem);
    return options->recover ? recover(options, env, self) : 0;
}

/* ---- not there before */

static int describe(const struct manager_options *options, struct member *out)
{
    char *problem = self_describe(options, out);
    int r;

    if (problem)
        return failed(problem);
    r = node_key(options->dir, out->key);
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

/* Restored: the cluster whose backup is there, or NULL. */
static int bootstrap(const struct manager_options *options, const char *restored,
                     struct become *out)
{
    struct member described;
    int r = describe(options, &described);

    if (r != 0)
        return r;
    r = self_begin(&described, &out->self);
    if (r == 0)
        r = make_token(&out->token);
    if (r < 0)
        return failed_at("cannot bootstrap", options->dir, r);
    if (restored)
        snprintf(out->self.cluster, sizeof out->self.cluster, "%s", restored);
    out->first = true;
    log_info("manager.bootstraps id=%" PRIu64 " cluster=%s", out->self.member.id,
             out->self.cluster);
    return 0;
}

static int join_cluster(uv_loop_t *loop, const struct manager_options *options, struct env *env,
                        const struct sockaddr_storage *source, struct become *out)
{
    struct member described;
    int r = describe(options, &described);

    if (r != 0)
        return r;
    r = join_run(loop, options, &described, source, &out->self);
    if (r != 0)
        return r == JOIN_STOPPED ? BECOME_DONE : BECOME_FAILED;
    r = self_save(env, &out->self);
    if (r < 0)
        return failed_at("cannot store who it is", options->dir, r);
    log_info("manager.joined id=%" PRIu64 " cluster=%s", out->self.member.id, out->self.cluster);
    return 0;
}

/* What was restored no other cluster has. */
static int begin_restored(const struct manager_options *options, const char *cluster,
                          struct become *out)
{
    if (!options->bootstrap)
        return failed(mem_format("%s holds a restored backup: start it with --bootstrap, and a new "
                                 "cluster goes on from there",
                                 options->dir));
    return bootstrap(options, cluster, out);
}

int become(uv_loop_t *loop, const struct manager_options *options, struct env *env,
           const struct sockaddr_storage *source, struct become *out)
{
    char restored[SELF_CLUSTER];
    int r = self_load(env, &out->self);

    if (r < 0)
        return err_up(r);
    if (r == 0)
        return go_on(options, env, &out->self);
    r = self_restored(env, restored);
    if (r < 0)
        return err_up(r);
    if (r == 0)
        return begin_restored(options, restored, out);
    if (options->bootstrap)
        return bootstrap(options, NULL, out);
    if (options->join)
        return join_cluster(loop, options, env, source, out);
    return failed(mem_format("%s holds no state to go on from: --bootstrap begins a new cluster, "
                             "--join joins one",
                             options->dir));
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
