/* SPDX-License-Identifier: MIT */
/* Rounds times what one can have at most; closed forms where there are some. SPEC 17.6.7. */
#include "bounds.h"

#include "run.h"
#include "schedule.h"

/* ---- counters of batches ---- */

/* Each renewal is an epoch (SPEC 11.12). Modulo 2^64, as a given file may have any counter. */
uint64_t fl_bounds_common(const fl_run *run)
{
    const uint64_t renewals = fl_schedule_renewals(&run->config, run->done);
    return run->common.given +
           (run->common.epochs + renewals) * fl_common_steps(&run->config, &run->task);
}

/* Experts start before the first renewal. */
uint64_t fl_bounds_start(const fl_run *run)
{
    const fl_common *start = fl_run_start(run);
    return start == NULL ? 0
                         : start->given + start->epochs * fl_common_steps(&run->config, &run->task);
}

/* A model has the highest counter of its copies, so that a round adds the batches of one visit.
 * 10^6 rounds of 65535 epochs of 10^7 samples are less than 2^60. */
static uint64_t most_batches(const fl_run *run)
{
    const data_partition *p = &run->task.partition;
    uint64_t most = 0;
    for (size_t i = 0; i < p->training; i++) {
        const uint64_t batches = fl_schedule_batches(&run->config, p->clients[i].count, false);
        most = batches > most ? batches : most;
    }
    return run->done * most;
}

/* ---- traffic ---- */

/* UINT64_MAX where it is more: no run gets there. */
static uint64_t add_product(uint64_t sum, uint64_t a, uint64_t b)
{
    if (a != 0 && b > (UINT64_MAX - sum) / a)
        return UINT64_MAX;
    return sum + a * b;
}

static void add_times(fl_traffic *sum, uint64_t times, const fl_traffic *part)
{
    sum->messages = add_product(sum->messages, times, part->messages);
    sum->round_trips = add_product(sum->round_trips, times, part->round_trips);
    sum->down = add_product(sum->down, times, part->down);
    sum->up = add_product(sum->up, times, part->up);
}

static void raise_to(fl_traffic *most, const fl_traffic *part)
{
    most->messages = part->messages > most->messages ? part->messages : most->messages;
    most->round_trips =
        part->round_trips > most->round_trips ? part->round_trips : most->round_trips;
    most->down = part->down > most->down ? part->down : most->down;
    most->up = part->up > most->up ? part->up : most->up;
}

/* Of a visit that trains all it can and whose answer is not lost. */
static fl_traffic visit_of(const fl_run *run, const data_client *client)
{
    fl_traffic traffic = {0, 0, 0, 0};
    const bool anchor = fl_client_is_anchor(&run->world, client);
    const fl_visit visit = {
        .client = client, .round = 1, .k = anchor ? 1 : fl_algorithm_trained(&run->config)};
    fl_run_count_visit(&traffic, run, &visit);
    return traffic;
}

static fl_traffic most_traffic(const fl_run *run)
{
    fl_traffic most = {0, 0, 0, 0}, common = {0, 0, 0, 0}, visit = {0, 0, 0, 0};
    fl_run_count_common(&common, run);
    fl_run_count_means(&most, run);
    for (size_t i = 0; i < run->task.partition.training; i++) {
        const fl_traffic one = visit_of(run, &run->task.partition.clients[i]);
        raise_to(&visit, &one);
    }
    add_times(&most, 1 + (uint64_t)fl_schedule_renewals(&run->config, run->done), &common);
    add_times(&most, (uint64_t)run->done * run->most_active, &visit);
    return most;
}

fl_bounds fl_bounds_of(const fl_run *run)
{
    return (fl_bounds){.traffic = most_traffic(run),
                       .batches = most_batches(run),
                       .clients = run->done == 0 ? 0 : run->task.partition.training};
}

/* ---- evaluations ---- */

/* Every eval_every-th round and the last. */
size_t fl_bounds_evaluations(const fl_run *run)
{
    const size_t every = run->config.eval_every, rounds = fl_run_rounds(run);
    return run->done / every + (run->done == rounds && rounds % every != 0);
}

uint32_t fl_bounds_evaluated(const fl_run *run)
{
    return run->done == fl_run_rounds(run)
               ? run->done
               : run->done - (uint32_t)(run->done % run->config.eval_every);
}

bool fl_bounds_begun(const fl_run *run)
{
    const uint32_t evaluated = fl_bounds_evaluated(run);
    return evaluated != 0 && fl_schedule_renewals(&run->config, run->done) ==
                                 fl_schedule_renewals(&run->config, evaluated);
}
