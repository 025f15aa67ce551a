#include "server/lab/launch.h"

#include <arpa/inet.h>
#include <stdlib.h>

#include "proto/base/bytes.h"
#include "proto/base/mem.h"
#include "server/net/address.h"

enum {
    WORKER_CPU = 4096,    /* Units: the lab's machines are as large as an example needs, */
    WORKER_MEMORY = 8192, /* MiB, whatever the machine that emulates them has. */
};

static const char *text_of(struct in_addr address, char out[INET_ADDRSTRLEN])
{
    return inet_ntop(AF_INET, &address, out, INET_ADDRSTRLEN);
}

/* Takes the text. */
static void add(struct launch *launch, char *text)
{
    launch->argv = mem_resize(launch->argv, launch->count + 2, sizeof(char *));
    launch->argv[launch->count++] = text;
    launch->argv[launch->count] = NULL;
}

/* Takes the value. */
static void add_flag(struct launch *launch, const char *flag, char *value)
{
    add(launch, mem_string(flag));
    add(launch, value);
}

/* FACE:PORT,...: where workers reach the managers. */
static char *rpc_addresses(const struct layout *layout)
{
    scope(buffer_fini) struct buffer list = {0};
    char text[INET_ADDRSTRLEN];

    for (size_t i = 0; i < layout->manager_count; i++)
        buffer_append_format(&list, "%s%s:%u", i ? "," : "", text_of(layout->nodes[i].face, text),
                             layout->options.api_port + 1);
    return mem_string(buffer_text(&list));
}

/* The first manager begins the cluster and leaves a token; the others join with it. All of this is
 * passed over by a manager that was there before. */
static void add_beginning(struct launch *launch, const struct layout *layout, size_t node,
                          const char *dir)
{
    char text[INET_ADDRSTRLEN];

    if (node == 0) {
        add(launch, mem_string("--bootstrap"));
        add_flag(launch, "--region", mem_string(layout->options.region));
        add_flag(launch, "--account", mem_string(layout->options.account));
        return;
    }
    add_flag(
        launch, "--join",
        mem_format("%s:%u", text_of(layout->nodes[0].face, text), layout->options.api_port + 2));
    add_flag(launch, "--token-file", mem_format("%s/%s/manager.token", dir, layout->nodes[0].name));
}

static void add_manager(struct launch *launch, const struct layout *layout, size_t node,
                        const char *dir)
{
    const struct layout_options *options = &layout->options;
    char text[INET_ADDRSTRLEN];

    add_flag(launch, "--bind", mem_string(text_of(layout->nodes[node].real, text)));
    add_flag(launch, "--api-port", mem_format("%u", options->api_port));
    add_flag(launch, "--rpc-port", mem_format("%u", options->api_port + 1));
    add_flag(launch, "--peer-port", mem_format("%u", options->api_port + 2));
    add_flag(launch, "--advertise", mem_string(text_of(layout->nodes[node].face, text)));
    add_beginning(launch, layout, node, dir);
}

static void add_worker(struct launch *launch, const struct layout *layout, size_t node)
{
    char text[INET_ADDRSTRLEN];

    add_flag(launch, "--address", mem_string(text_of(layout->nodes[node].real, text)));
    add_flag(launch, "--managers", rpc_addresses(layout));
    add_flag(launch, "--cluster", mem_string("default"));
    add_flag(launch, "--cpu", mem_format("%d", WORKER_CPU));
    add_flag(launch, "--memory", mem_format("%d", WORKER_MEMORY));
    add_flag(launch, "--runtime", mem_string(layout->options.runtime));
}

char *launch_dir(const struct layout *layout, size_t node, const char *dir)
{
    return mem_format("%s/%s", dir, layout->nodes[node].name);
}

struct launch *launch_new(const struct layout *layout, size_t node, const char *binary,
                          const char *dir)
{
    struct launch *launch = mem_new(struct launch);
    bool manager = layout->nodes[node].manager;

    add(launch, mem_string(binary));
    add(launch, mem_string(manager ? "manager" : "worker"));
    add_flag(launch, "--dir", launch_dir(layout, node, dir));
    add_flag(launch, "--name", mem_string(layout->nodes[node].name));
    add_flag(launch, "--zone", mem_string(layout_zone_of(layout, node)));
    if (manager)
        add_manager(launch, layout, node, dir);
    else
        add_worker(launch, layout, node);
    return launch;
}

void launch_free(struct launch *launch)
{
    if (!launch)
        return;
    for (size_t i = 0; i < launch->count; i++)
        free(launch->argv[i]);
    free(launch->argv);
    free(launch);
}
