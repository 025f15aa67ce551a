#include "scheduler/deploy.h"

static uint64_t min(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* a - b, or 0. */
static uint64_t above(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

static uint64_t upper_of(const struct deploy_now *now)
{
    uint64_t percent = now->maximum_percent < 100 ? 100 : now->maximum_percent;

    return now->desired_count * percent / 100;
}

static uint64_t lower_of(const struct deploy_now *now)
{
    return (now->desired_count * min(now->minimum_percent, 100) + 99) / 100;
}

static uint64_t staying(const struct deploy_count *count)
{
    return (uint64_t)count->pending + count->running;
}

static uint64_t starts(const struct deploy_now *now)
{
    uint64_t missing = above(now->desired_count, staying(&now->primary));
    uint64_t room = above(upper_of(now), staying(&now->primary) + staying(&now->older));

    return min(missing, room);
}

/* Old RUNNING tasks that can be spared, also if every surplus task stopped is a RUNNING one. */
static uint64_t old_spared(const struct deploy_now *now, uint64_t surplus)
{
    uint64_t serving = above(now->primary.running, surplus) + now->older.running;

    return min(now->older.running, above(serving, lower_of(now)));
}

static bool none(const struct deploy_count *count)
{
    return count->pending + count->running + count->stopping == 0;
}

static bool rolled_out(const struct deploy_now *now)
{
    return none(&now->older) && now->primary.pending == 0 &&
           now->primary.running == now->desired_count;
}

void deploy_decide(const struct deploy_now *now, struct deploy_next *out)
{
    uint64_t start = starts(now);
    uint64_t surplus = above(staying(&now->primary), now->desired_count);
    uint64_t spared = old_spared(now, surplus);
    bool moves = start || surplus || spared || now->older.pending || now->primary.pending;

    *out = (struct deploy_next){
        .start = (uint32_t)start,
        .stop_surplus = (uint32_t)surplus,
        .stop_old_pending = now->older.pending,
        .stop_old_running = (uint32_t)spared,
        .stuck = now->older.running && !moves,
        .complete = rolled_out(now) && !now->completed,
        .steady = rolled_out(now) && now->primary.stopping == 0,
    };
}
