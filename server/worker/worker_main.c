#include "server/worker/worker_main.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <uv.h>

#include "proto/base/err.h"
#include "proto/base/must.h"
#include "server/net/log.h"
#include "server/worker/release.h"
#include "server/worker/worker.h"
#include "server/worker/worker_options.h"

struct run {
    uv_loop_t loop;
    uv_signal_t terminate, interrupt;
    struct worker *worker;
};

static void signalled(uv_signal_t *signal, int number)
{
    struct run *run = signal->data;

    log_info("worker.stopping signal=%d", number);
    worker_close(run->worker);
    uv_close((uv_handle_t *)&run->terminate, NULL);
    uv_close((uv_handle_t *)&run->interrupt, NULL);
}

static void listen_to(struct run *run, uv_signal_t *handle, int number)
{
    uv_signal_init(&run->loop, handle);
    handle->data = run;
    uv_signal_start(handle, signalled, number);
}

/* Absolute, as a task's supervisor and its containers stand elsewhere. Gives, or NULL and errno. */
static char *make_dir(const char *dir)
{
    if (mkdir(dir, 0755) < 0 && errno != EEXIST)
        return NULL;
    return realpath(dir, NULL);
}

static int complain(const struct worker_options *options, int r)
{
    const char *why = r == -EUSERS ? "another worker uses it" : strerror(-r);

    fprintf(stderr, "cais worker: --dir %s: %s\n", options->dir, why);
    log_error("worker.open_failed error=\"%s\" trace=\"%s\"", why, err_trace());
    return EXIT_FAILURE;
}

static int run_worker(const struct worker_options *options, const struct worker_config *config)
{
    struct run run;
    int r = uv_loop_init(&run.loop);

    if (r < 0)
        return complain(options, r);
    r = worker_open(&run.loop, config, &run.worker);
    if (r == 0) {
        listen_to(&run, &run.terminate, SIGTERM);
        listen_to(&run, &run.interrupt, SIGINT);
    }
    uv_run(&run.loop, UV_RUN_DEFAULT);
    must(uv_loop_close(&run.loop) == 0);
    return r < 0 ? complain(options, r) : EXIT_SUCCESS;
}

static uint64_t make_seed(void)
{
    uint64_t seed;

    return getrandom(&seed, sizeof seed, 0) == sizeof seed ? seed : (uint64_t)getpid();
}

int worker_main(int argc, char **argv)
{
    struct worker_options options;
    scope(text_free) char *dir = NULL;
    int r;

    worker_options_parse(argc, argv, &options);
    log_setup(options.name, LOG_INFO);
    signal(SIGPIPE, SIG_IGN);
    dir = make_dir(options.dir);
    r = -errno;
    if (dir) {
        struct worker_config config = {
            .dir = dir,
            .cluster = options.cluster,
            .name = options.name,
            .zone = options.zone,
            .address = options.address,
            .cpu = options.cpu,
            .memory = options.memory,
            .attributes = options.attributes,
            .attribute_count = options.attribute_count,
            .managers = (const char *const *)options.managers,
            .addresses = options.addresses,
            .manager_count = options.manager_count,
            .open_runtime =
                strcmp(options.runtime, "hollow") ? runtime_process_open : runtime_hollow_open,
            .cgroups = options.cgroups,
            .seed = make_seed(),
        };

        r = run_worker(&options, &config);
    } else {
        r = complain(&options, err_new(r));
    }
    worker_options_fini(&options);
    return r;
}
