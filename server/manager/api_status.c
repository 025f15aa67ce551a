#include <inttypes.h>

#include "proto/json.h"
#include "server/manager/api_internal.h"

static void read_status(const struct exchange *exchange, struct core_status *out)
{
    const struct core_door *door = &exchange->api->config.door;

    door->status(door->core, out);
}

static bool leads(const struct core_status *status)
{
    return status->leader != 0 && status->leader == status->id;
}

/* What it is to the cluster, whoever leads. */
static const char *member_name(enum member_role role)
{
    static const char *const names[] = {
        [MEMBER_STANDBY] = "standby", [MEMBER_VOTER] = "voter", [MEMBER_SPARE] = "none"};

    return names[role];
}

static void add_text(struct buffer *out, const char *member, const char *text)
{
    buffer_append_format(out, "\"%s\":", member);
    json_print_text(text, out);
    buffer_append_text(out, ",");
}

static void add_number(struct buffer *out, const char *member, uint64_t number)
{
    buffer_append_format(out, "\"%s\":%" PRIu64 ",", member, number);
}

enum MHD_Result answer_status(struct exchange *exchange)
{
    const struct api_config *config = &exchange->api->config;
    struct core_status status;
    struct buffer body = {0};

    read_status(exchange, &status);
    buffer_append_text(&body, "{");
    add_number(&body, "id", status.id);
    add_text(&body, "name", config->name);
    add_text(&body, "zone", config->zone);
    add_number(&body, "leader", status.leader);
    add_text(&body, "leader_name", status.leader_name);
    add_number(&body, "term", status.term);
    add_text(&body, "role", leads(&status) ? "leader" : "follower");
    add_text(&body, "member", member_name(status.role));
    buffer_append_format(&body, "\"ready\":%s,", status.ready ? "true" : "false");
    add_number(&body, "last_index", status.last_index);
    add_number(&body, "commit_index", status.commit_index);
    buffer_append_format(&body, "\"applied_index\":%" PRIu64 "}\n", status.applied_index);
    return answer_text(exchange, MHD_HTTP_OK, "application/json", &body);
}

static void add_gauge(struct buffer *out, const char *name, const char *help, uint64_t value)
{
    buffer_append_format(out, "# HELP %s %s\n# TYPE %s gauge\n%s %" PRIu64 "\n", name, help, name,
                         name, value);
}

static void add_answers(struct buffer *out, struct api *api)
{
    static const char *const codes[COUNTED_STATUSES] = {"200", "400", "500", "other"};

    buffer_append_text(out, "# HELP cais_api_requests_total Requests answered, by ECS operation "
                            "and HTTP status.\n# TYPE cais_api_requests_total counter\n");
    for (size_t row = 0; row <= action_count; row++) {
        for (size_t column = 0; column < COUNTED_STATUSES; column++) {
            uint64_t count = atomic_load(&api->answers[row][column]);

            if (count > 0)
                buffer_append_format(
                    out, "cais_api_requests_total{action=\"%s\",code=\"%s\"} %" PRIu64 "\n",
                    row < action_count ? actions[row].name : "", codes[column], count);
        }
    }
}

enum MHD_Result answer_metrics(struct exchange *exchange)
{
    struct core_status status;
    struct buffer body = {0};

    read_status(exchange, &status);
    add_gauge(&body, "cais_raft_term", "Raft's current term.", status.term);
    add_gauge(&body, "cais_raft_commit_index", "Highest log index known to be committed.",
              status.commit_index);
    add_gauge(&body, "cais_raft_applied_index", "Highest log index applied to the tables.",
              status.applied_index);
    add_gauge(&body, "cais_is_leader", "1 on the manager that leads.", leads(&status));
    add_answers(&body, exchange->api);
    return answer_text(exchange, MHD_HTTP_OK, "text/plain; version=0.0.4; charset=utf-8", &body);
}
