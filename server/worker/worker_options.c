#include "server/worker/worker_options.h"

#include <argp.h>
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "proto/arn.h"
#include "proto/base/mem.h"
#include "server/net/address.h"
#include "server/net/settings.h"

enum {
    OPT_CPU = 256,
    OPT_MEMORY,
    OPT_CLUSTER,
    OPT_CGROUP,
    CPU_UNITS = 1024, /* A core. */
    CPU_MOST = 1024 * 1024,
    MEMORY_MOST = 1 << 30,
    NAME_MOST = 128, /* Of an attribute's name and value, as in ECS. */
};

static const struct argp_option options[] = {
    {"dir", 'd', "DIR", 0, "where this worker keeps its state and its tasks (made if absent)", 0},
    {"name", 'n', "NAME", 0, "what operators call it", 0},
    {"zone", 'z', "ZONE", 0, "its availability zone", 0},
    {"address", 'a', "ADDRESS", 0,
     "numeric; where its tasks are reached (their HOST), and where it dials from", 0},
    {"managers", 'm', "HOST:PORT,…", 0, "worker RPC of the managers; one that answers is enough",
     0},
    {"cluster", OPT_CLUSTER, "NAME", 0, "the cluster it belongs to [default]", 0},
    {"cpu", OPT_CPU, "UNITS", 0, "cpu it offers, 1024 a core [this machine's]", 0},
    {"memory", OPT_MEMORY, "MIB", 0, "memory it offers [this machine's]", 0},
    {"runtime", 'r', "process|hollow", 0,
     "run tasks as processes, or only pretend to, for tests of scale [process]", 0},
    {"cgroup", OPT_CGROUP, "auto|off", 0,
     "limit tasks by control groups where they can be had; otherwise memory is limited for each "
     "process by RLIMIT_DATA, and cpu is not [auto]",
     0},
    {"attribute", 'A', "NAME=VALUE", 0, "for placement constraints; may be repeated", 0},
    {0},
};

static void add_attribute(struct argp_state *state, struct worker_options *out, const char *text)
{
    const char *equals = strchr(text, '=');
    Ecs__Attribute *attribute;

    if (!equals || equals == text || equals - text > NAME_MOST || strlen(equals + 1) > NAME_MOST)
        argp_error(state, "--attribute: \"%s\" is not NAME=VALUE of at most %d characters each",
                   text, NAME_MOST);
    if (out->attribute_count == LIMIT_ATTRIBUTES)
        argp_error(state, "--attribute: more than %u", LIMIT_ATTRIBUTES);
    attribute = mem_new(Ecs__Attribute);
    ecs__attribute__init(attribute);
    attribute->name = mem_format("%.*s", (int)(equals - text), text);
    attribute->value = mem_string(equals + 1);
    out->attributes[out->attribute_count++] = attribute;
}

static void forget_managers(struct worker_options *out)
{
    while (out->manager_count > 0)
        free(out->managers[--out->manager_count]);
}

/* A later setting replaces an earlier one. */
static void set_managers(struct argp_state *state, struct worker_options *out, const char *list)
{
    char *text = mem_string(list);
    char *rest = text, *item;

    forget_managers(out);
    while ((item = strsep(&rest, ","))) {
        char problem[ADDRESS_PROBLEM];

        if (out->manager_count == LIMIT_MANAGERS)
            argp_error(state, "--managers: more than %u", LIMIT_MANAGERS);
        if (address_parse(item, &out->addresses[out->manager_count], problem) < 0)
            argp_error(state, "--managers: %s", problem);
        out->managers[out->manager_count++] = mem_string(item);
    }
    free(text);
}

static bool is_one_of(const char *text, const char *a, const char *b)
{
    return !strcmp(text, a) || !strcmp(text, b);
}

static void check(struct argp_state *state, struct worker_options *out)
{
    uint8_t numeric[16];

    if (!out->dir)
        argp_error(state, "--dir is missing");
    if (!out->name)
        argp_error(state, "--name is missing");
    if (!out->zone)
        argp_error(state, "--zone is missing");
    if (!out->address)
        argp_error(state, "--address is missing");
    if (!out->manager_count)
        argp_error(state, "--managers is missing");
    if (!name_is_valid(out->name))
        argp_error(state, "--name: \"%s\" is not a name (letters, digits, - and _)", out->name);
    if (!name_is_valid(out->zone))
        argp_error(state, "--zone: \"%s\" is not a zone (letters, digits, - and _)", out->zone);
    if (!name_is_valid(out->cluster))
        argp_error(state, "--cluster: \"%s\" is not a name (letters, digits, - and _)",
                   out->cluster);
    if (inet_pton(AF_INET, out->address, numeric) != 1 &&
        inet_pton(AF_INET6, out->address, numeric) != 1)
        argp_error(state, "--address: \"%s\" is not a numeric address", out->address);
    if (!is_one_of(out->runtime, "process", "hollow"))
        argp_error(state, "--runtime: \"%s\" is neither process nor hollow", out->runtime);
}

static int parse(int key, char *arg, struct argp_state *state)
{
    struct worker_options *out = state->input;

    switch (key) {
    case 'd':
        out->dir = arg;
        return 0;
    case 'n':
        out->name = arg;
        return 0;
    case 'z':
        out->zone = arg;
        return 0;
    case 'a':
        out->address = arg;
        return 0;
    case 'm':
        set_managers(state, out, arg);
        return 0;
    case 'r':
        out->runtime = arg;
        return 0;
    case 'A':
        add_attribute(state, out, arg);
        return 0;
    case OPT_CLUSTER:
        out->cluster = arg;
        return 0;
    case OPT_CPU:
        out->cpu = settings_number(state, "cpu", arg, 1, CPU_MOST);
        return 0;
    case OPT_MEMORY:
        out->memory = settings_number(state, "memory", arg, 1, MEMORY_MOST);
        return 0;
    case OPT_CGROUP:
        if (!is_one_of(arg, "auto", "off"))
            argp_error(state, "--cgroup: \"%s\" is neither auto nor off", arg);
        out->cgroups = !strcmp(arg, "auto");
        return 0;
    case ARGP_KEY_END:
        check(state, out);
        return 0;
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static uint32_t machine_cpu(void)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);

    return (uint32_t)(cores > 0 ? cores : 1) * CPU_UNITS;
}

static uint32_t machine_memory(void)
{
    struct sysinfo info;

    if (sysinfo(&info) < 0)
        return 1;
    return (uint32_t)(info.totalram * info.mem_unit >> 20);
}

void worker_options_parse(int argc, char **argv, struct worker_options *out)
{
    static const struct argp argp = {
        .options = options,
        .parser = parse,
        .doc = "Run a worker: it runs the tasks that the managers assign to it. They do not end "
               "with it: the "
               "next worker on the same directory adopts them.\v"
               "Each flag may also be a line `flag = value` of " SETTINGS_FILE
               " or a variable CAIS_FLAG; flags win, then variables.",
    };

    *out = (struct worker_options){
        .cluster = "default",
        .runtime = "process",
        .cgroups = true,
        .cpu = machine_cpu(),
        .memory = machine_memory(),
    };
    argp_err_exit_status = 2;
    if (settings_arguments(options, SETTINGS_FILE, argc, argv, &argc, &out->arguments) < 0)
        exit(2);
    argv = out->arguments;
    argp_parse(&argp, argc, argv, 0, NULL, out);
}

void worker_options_fini(struct worker_options *out)
{
    forget_managers(out);
    for (size_t i = 0; i < out->attribute_count; i++)
        ecs__attribute__free_unpacked(out->attributes[i], NULL);
    settings_free(out->arguments);
}
