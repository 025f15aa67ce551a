/*
 * Cuts the power: `crash_images TRACE SCRATCH IMAGES SEED [--jobs N] [--mutant NAME] [--only N]`
 * replays a trace of workload.c, writes IMAGES states the disk may be in, spread over all of its
 * points, and looks at each of them as a manager does that starts again.
 *
 * Image n depends on the trace, SEED and n alone, so that `--only n` shows a failure again. Images
 * are looked at in children: one that is killed by what it reads counts as a failure, not as ours.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/bytes.h"
#include "proto/base/err.h"
#include "proto/base/mem.h"
#include "proto/base/must.h"
#include "tests/crash/disk.h"
#include "tests/crash/story.h"

enum {
    JOBS_MAX = 64,
    IMAGE_SECONDS = 20,
    SHOWN_MAX = 10, /* Failures told in full. */
};

enum verdict {
    VERDICT_WELL,
    VERDICT_LOST,       /* What was acknowledged is not there. */
    VERDICT_UNOPENABLE, /* It does not open, or is damaged. */
    VERDICT_STUCK,      /* It opens, but cannot go on. */
    VERDICT_COUNT,
};

/* Shared with the children. */
struct job {
    uint64_t image; /* Looked at now. */
    uint64_t done;
    uint64_t seen[VERDICT_COUNT];
};

struct options {
    const char *trace;
    const char *scratch;
    uint64_t images;
    uint64_t seed;
    uint64_t jobs;
    uint64_t only; /* UINT64_MAX: all. */
    enum disk_mutant mutant;
};

struct trace {
    const uint8_t *base;
    size_t len;
    uint64_t points; /* Where the power may be cut: behind each event. */
};

/* What has been promised up to a point. */
struct promise {
    struct story_mark acknowledged; /* turn 0: nothing yet. */
    struct story_mark intended;
};

/* ---- one image */

struct finding {
    enum verdict verdict;
    char *text; /* NULL: well. */
};

static struct finding found(enum verdict verdict, char *text)
{
    return (struct finding){verdict, text};
}

static struct finding failed(enum verdict verdict, const char *what, int r, char *text)
{
    struct finding finding = found(
        verdict, mem_format("%s: %s: %s (%s)", what, strerror(-r), text ? text : "", err_trace()));

    free(text);
    return finding;
}

static bool same_state(const struct story_state *a, const struct story_mark *mark)
{
    return mark->turn > 0 && a->digest == mark->state.digest;
}

static struct finding judge(const struct story_state *state, const struct promise *promise)
{
    const struct story_state *promised = &promise->acknowledged.state;

    if (same_state(state, &promise->acknowledged) || same_state(state, &promise->intended))
        return found(VERDICT_WELL, NULL);
    if (promise->acknowledged.turn == 0 && state->last == 0 && state->term == 0)
        return found(VERDICT_WELL, NULL); /* Nothing was promised, and nothing is there. */
    return found(VERDICT_LOST,
                 mem_format("acknowledged turn %u: term %llu last %llu applied %llu; found: term "
                            "%llu last %llu applied %llu",
                            promise->acknowledged.turn, (unsigned long long)promised->term,
                            (unsigned long long)promised->last,
                            (unsigned long long)promised->applied, (unsigned long long)state->term,
                            (unsigned long long)state->last, (unsigned long long)state->applied));
}

static int look(struct env *env, struct story_state *out, char **out_text)
{
    scope(txn_abort) struct txn *txn = NULL;
    int r = env_read(env, &txn);

    return r < 0 ? err_up(r) : err_up(story_look(txn, out, out_text));
}

static struct finding open_and_look(const char *dir, const struct promise *promise,
                                    struct env **out_env)
{
    struct story_state state;
    struct finding finding;
    char *text = NULL;
    int r = story_start(dir, STORY_MAP_BYTES, out_env);

    if (r < 0)
        return failed(VERDICT_UNOPENABLE, "open", r, NULL);
    r = look(*out_env, &state, &text);
    if (r < 0)
        return failed(VERDICT_UNOPENABLE, "look", r, text);
    finding = judge(&state, promise);
    if (finding.verdict != VERDICT_WELL)
        return finding;
    r = story_go_on(*out_env, &text);
    return r < 0 ? failed(VERDICT_STUCK, "go on", r, text) : finding;
}

static int remove_one(const char *path, const struct stat *stat, int type, struct FTW *walk)
{
    (void)stat;
    (void)type;
    return walk->level == 0 ? 0 : remove(path);
}

static void clear(const char *dir)
{
    (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

/* ---- all images of one job */

struct cutting {
    const struct options *options;
    struct disk *disk;
    struct promise promise;
    struct job *job;
    uint64_t number; /* Of the job. */
    uint64_t begin;  /* First image to look at. */
    uint64_t next;   /* Image to write next, of all jobs. */
    uint64_t point;
    char *dir;
};

static const char *const verdict_names[] = {"well", "lost", "unopenable", "stuck"};

static void tell(const struct cutting *c, uint64_t image, struct finding finding)
{
    if (c->job->seen[finding.verdict] <= SHOWN_MAX)
        fprintf(stderr, "image %llu of %llu, seed %llu, event %llu, turn %u: %s: %s\n",
                (unsigned long long)image, (unsigned long long)c->options->images,
                (unsigned long long)c->options->seed, (unsigned long long)c->point,
                c->promise.intended.turn, verdict_names[finding.verdict], finding.text);
}

static void cut(struct cutting *c, uint64_t image)
{
    scope(env_free) struct env *env = NULL;
    struct finding finding;
    struct rng rng;
    uint64_t kind;

    rng_seed(&rng, c->options->seed * UINT64_C(0x9e3779b97f4a7c15) + image);
    kind = rng_below(&rng, 12);
    c->job->image = image;
    alarm(IMAGE_SECONDS);
    must(disk_write(c->disk, kind < 2 ? (enum disk_choice)kind : DISK_CHANCE, &rng, c->dir) == 0);
    finding = open_and_look(c->dir, &c->promise, &env);
    c->job->seen[finding.verdict]++;
    if (finding.verdict != VERDICT_WELL)
        tell(c, image, finding);
    free(finding.text);
    env_free(steal(env));
    if (c->options->only == UINT64_MAX)
        clear(c->dir);
    c->job->done++;
}

/* The images that fall on this point. */
static void cut_here(struct cutting *c, uint64_t points)
{
    const struct options *options = c->options;

    for (; c->next < options->images && c->next * points / options->images <= c->point; c->next++)
        if (options->only != UINT64_MAX
                ? c->next == options->only
                : c->next >= c->begin && c->next % options->jobs == c->number)
            cut(c, c->next);
}

static void note_mark(struct promise *promise, const void *data)
{
    struct story_mark mark;

    memcpy(&mark, data, sizeof mark);
    if (mark.word == STORY_ACKNOWLEDGED)
        promise->acknowledged = mark;
    else
        promise->intended = mark;
}

/* Read one event at *at. Its names are copied; data is borrowed of the trace. */
static bool next_event(const struct trace *trace, size_t *at, struct trace_event *event,
                       char **name, char **to_name, const uint8_t **data)
{
    if (trace->len - *at < sizeof *event)
        return false;
    memcpy(event, trace->base + *at, sizeof *event);
    *at += sizeof *event;
    if (trace->len - *at < (size_t)event->name_len + event->to_name_len + event->data_len)
        return false;
    *name = event->name_len ? strndup((const char *)trace->base + *at, event->name_len) : NULL;
    *at += event->name_len;
    *to_name =
        event->to_name_len ? strndup((const char *)trace->base + *at, event->to_name_len) : NULL;
    *at += event->to_name_len;
    *data = trace->base + *at;
    *at += event->data_len;
    return true;
}

/* NULL, or why the trace cannot be replayed. */
static const char *replay(const struct trace *trace, struct cutting *c)
{
    struct trace_event event;
    const char *why = NULL;
    const uint8_t *data;
    size_t at = 0;

    c->disk = disk_new(c->options->mutant);
    for (c->point = 0; at < trace->len && !why; c->point++) {
        char *name, *to_name;

        if (!next_event(trace, &at, &event, &name, &to_name, &data))
            return "it is cut short";
        why = disk_feed(c->disk, &event, (struct disk_bytes){name, to_name, data});
        if (why && name)
            fprintf(stderr, "%s\n", name);
        free(name);
        free(to_name);
        if (event.kind == TRACE_MARK && event.data_len == sizeof(struct story_mark))
            note_mark(&c->promise, data);
        if (!why && trace->points > 0)
            cut_here(c, trace->points);
    }
    disk_free(steal(c->disk));
    return why;
}

static struct trace trace_read(const char *path)
{
    struct trace trace = {0};
    struct stat stat;
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    must(fd >= 0 && fstat(fd, &stat) == 0 && stat.st_size > 0);
    trace.len = (size_t)stat.st_size;
    trace.base = mmap(NULL, trace.len, PROT_READ, MAP_PRIVATE, fd, 0);
    must(trace.base != MAP_FAILED);
    close(fd);
    return trace;
}

/* ---- jobs */

static pid_t job_start(const struct options *options, const struct trace *trace, struct job *job,
                       uint64_t number, uint64_t begin)
{
    struct cutting c = {.options = options, .job = job, .number = number, .begin = begin};
    const char *why;
    pid_t pid = fork();

    must(pid >= 0);
    if (pid > 0)
        return pid;
    c.dir = mem_format("%s/job%llu", options->scratch, (unsigned long long)number);
    (void)mkdir(c.dir, 0700);
    clear(c.dir);
    why = replay(trace, &c);
    if (why)
        fprintf(stderr, "crash_images: %s\n", why);
    if (options->only == UINT64_MAX)
        rmdir(c.dir);
    free(c.dir);
    exit(why != NULL);
}

/* Wait for a job to end; one that was killed goes on behind the image that killed it. */
static bool job_end(const struct options *options, const struct trace *trace, struct job *job,
                    uint64_t number, pid_t pid)
{
    int status;

    for (;;) {
        must(waitpid(pid, &status, 0) == pid);
        if (WIFEXITED(status))
            return WEXITSTATUS(status) == 0;
        fprintf(stderr, "image %llu, seed %llu: killed by signal %d\n",
                (unsigned long long)job->image, (unsigned long long)options->seed,
                WTERMSIG(status));
        job->seen[WTERMSIG(status) == SIGALRM ? VERDICT_STUCK : VERDICT_UNOPENABLE]++;
        job->done++;
        pid = job_start(options, trace, job, number, job->image + 1);
    }
}

static int cut_all(const struct options *options, const struct trace *trace)
{
    struct job *jobs = mmap(NULL, sizeof *jobs * JOBS_MAX, PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[JOBS_MAX];
    struct job sum = {0};
    bool replayed = true;

    must(jobs != MAP_FAILED);
    for (uint64_t i = 0; i < options->jobs; i++)
        pids[i] = job_start(options, trace, &jobs[i], i, 0);
    for (uint64_t i = 0; i < options->jobs; i++) {
        replayed &= job_end(options, trace, &jobs[i], i, pids[i]);
        sum.done += jobs[i].done;
        for (int v = 0; v < VERDICT_COUNT; v++)
            sum.seen[v] += jobs[i].seen[v];
    }
    printf("points: %llu\nimages: %llu\nlost: %llu\nunopenable: %llu\nstuck: %llu\n",
           (unsigned long long)trace->points, (unsigned long long)sum.done,
           (unsigned long long)sum.seen[VERDICT_LOST],
           (unsigned long long)sum.seen[VERDICT_UNOPENABLE],
           (unsigned long long)sum.seen[VERDICT_STUCK]);
    munmap(jobs, sizeof *jobs * JOBS_MAX);
    return !replayed || sum.seen[VERDICT_WELL] != sum.done;
}

static enum disk_mutant mutant_named(const char *name)
{
    static const char *const names[] = {"none", "nosync", "nometasync", "nodirsync"};

    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return (enum disk_mutant)i;
    fprintf(stderr, "crash_images: no mutant %s\n", name);
    exit(2);
}

static void parse(int argc, char **argv, struct options *out)
{
    static const struct option longs[] = {
        {"jobs", required_argument, NULL, 'j'},
        {"mutant", required_argument, NULL, 'm'},
        {"only", required_argument, NULL, 'o'},
        {0},
    };
    int option;

    *out = (struct options){.jobs = 1, .only = UINT64_MAX};
    while ((option = getopt_long(argc, argv, "", longs, NULL)) != -1) {
        if (option == 'j')
            out->jobs = strtoull(optarg, NULL, 10);
        else if (option == 'm')
            out->mutant = mutant_named(optarg);
        else if (option == 'o')
            out->only = strtoull(optarg, NULL, 10);
    }
    if (argc - optind != 4 || out->jobs < 1 || out->jobs > JOBS_MAX) {
        fprintf(stderr, "usage: crash_images TRACE SCRATCH IMAGES SEED [--jobs N] [--mutant none|"
                        "nosync|nometasync|nodirsync] [--only N]\n");
        exit(2);
    }
    out->trace = argv[optind];
    out->scratch = argv[optind + 1];
    out->images = strtoull(argv[optind + 2], NULL, 10);
    out->seed = strtoull(argv[optind + 3], NULL, 10);
    if (out->only != UINT64_MAX)
        out->jobs = 1;
}

int main(int argc, char **argv)
{
    struct options options;
    struct trace trace;
    struct cutting counting = {.options = &options};
    const char *why;

    parse(argc, argv, &options);
    trace = trace_read(options.trace);
    why = replay(&trace, &counting);
    if (why) {
        fprintf(stderr, "crash_images: %s: %s\n", options.trace, why);
        return 1;
    }
    trace.points = counting.point;
    return cut_all(&options, &trace);
}
