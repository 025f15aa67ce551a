#include "server/manager/self.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "storage/log.h"

enum {
    API_PORT = 4510,
    RPC_PORT = 4511,
    CLUSTER_BYTES = 16,
};

static const char DEFAULT_HOST[] = "127.0.0.1";

static int read_identity(struct txn *txn, struct self *out)
{
    struct log_self identity;
    struct self self = {.member.role = MEMBER_VOTER};
    int r = log_self_get(txn, &identity);

    if (r != 0)
        return r < 0 ? err_up(r) : SELF_NOBODY;
    self.member.id = identity.id;
    if (!member_id_is_valid(identity.id) || strlen(identity.cluster) >= SELF_CLUSTER ||
        member_parse(identity.record, &self.member) != 0)
        return err_new(-EUCLEAN);
    snprintf(self.cluster, sizeof self.cluster, "%s", identity.cluster);
    *out = self;
    return 0;
}

int self_load(struct env *env, struct self *out)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_write(env, &txn);

    if (r == 0)
        r = log_format(txn);
    if (r < 0)
        return err_up(r);
    r = read_identity(txn, out);
    return r < 0 ? err_up(r) : r;
}

int self_save(struct env *env, const struct self *self)
{
    scope(txn_abort) struct txn *txn = NULL;
    char record[MEMBER_TEXT];
    struct log_self identity = {self->member.id, self->cluster,
                                member_format(&self->member, record)};
    int r = env_write(env, &txn);

    if (r == 0)
        r = log_format(txn);
    if (r == 0)
        r = log_self_put(txn, &identity);
    return r < 0 ? err_up(r) : err_up(txn_commit(steal(txn)));
}

int self_restored(struct env *env, char out_cluster[SELF_CLUSTER])
{
    scope(txn_abort) struct txn *txn = NULL;
    const char *cluster;
    int r = env_read(env, &txn);

    if (r == 0)
        r = log_restored_get(txn, &cluster);
    if (r != 0)
        return r < 0 ? err_up(r) : SELF_NOBODY;
    if (strlen(cluster) >= SELF_CLUSTER)
        return err_new(-EUCLEAN);
    snprintf(out_cluster, SELF_CLUSTER, "%s", cluster);
    return 0;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

char *self_describe(const struct manager_options *options, struct member *out)
{
    const char *bind = options->bind ? options->bind : DEFAULT_HOST;
    const char *host = options->advertise ? options->advertise : bind;
    struct member member = {
        .role = MEMBER_VOTER,
        .api_port = options->api_port ? options->api_port : API_PORT,
        .rpc_port = options->rpc_port ? options->rpc_port : RPC_PORT,
        .peer_port = options->peer_port ? options->peer_port : MANAGER_PEER_PORT,
    };

    if (!options->name)
        return mem_string("--name is missing");
    if (!options->zone)
        return mem_string("--zone is missing");
    if (is_wildcard(host))
        return mem_format("%s is nowhere that others could reach: --advertise is missing", host);
    if (strlen(host) > MEMBER_HOST_CHARS)
        return mem_string("--advertise is too long for a host");
    snprintf(member.name, sizeof member.name, "%s", options->name);
    snprintf(member.zone, sizeof member.zone, "%s", options->zone);
    snprintf(member.host, sizeof member.host, "%s", host);
    if (!member_is_valid(&member))
        return mem_format("\"%s\" is not a host", host);
    *out = member;
    return NULL;
}

static char *differs(const char *flag, const char *said, const char *stored)
{
    if (!said || strcmp(said, stored) == 0)
        return NULL;
    return mem_format("--%s says \"%s\", but this manager is known to its cluster with \"%s\"; "
                      "leave the flag out, or remove this manager and join anew",
                      flag, said, stored);
}

static char *port_differs(const char *flag, uint16_t said, uint16_t stored)
{
    char text[2][8];

    snprintf(text[0], sizeof text[0], "%u", said);
    snprintf(text[1], sizeof text[1], "%u", stored);
    return said ? differs(flag, text[0], text[1]) : NULL;
}

char *self_contradiction(const struct manager_options *options, const struct self *self)
{
    const struct member *member = &self->member;
    char *problem = differs("name", options->name, member->name);

    if (!problem)
        problem = differs("zone", options->zone, member->zone);
    if (!problem)
        problem = differs("advertise", options->advertise, member->host);
    if (!problem)
        problem = port_differs("api-port", options->api_port, member->api_port);
    if (!problem)
        problem = port_differs("rpc-port", options->rpc_port, member->rpc_port);
    if (!problem)
        problem = port_differs("peer-port", options->peer_port, member->peer_port);
    return problem;
}

int self_begin(const struct member *described, struct self *out)
{
    struct self self = {.member = *described};
    uint8_t name[CLUSTER_BYTES];

    if (getrandom(name, sizeof name, 0) != sizeof name ||
        getrandom(&self.member.id, sizeof self.member.id, 0) != sizeof self.member.id)
        return err_new(-EIO);
    self.member.id &= INT64_MAX;
    if (self.member.id == 0)
        self.member.id = 1;
    for (size_t i = 0; i < sizeof name; i++)
        snprintf(self.cluster + 2 * i, 3, "%02x", name[i]);
    *out = self;
    return 0;
}
