/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_worker.c - enxame worker: lend this machine to a swarm. */
#include "backend/lend.h"
#include "backend/queue_wire.h"
#include "cli/cli.h"
#include "cli/cli_broker.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TURN_US = 1000000 };

typedef struct options {
    cli_broker  broker;
    const char *name, *folder;
    cli_list    models, specialties;
    uint64_t    slots, threads, calls;
    double      drain_s, reserve_s;
    bool        is_echo;
} options;

/* "host-pid", of what a name may hold. */
static void default_name(char out[ENX_WIRE_NAME_BYTES])
{
    char host[40] = "";
    gethostname(host, sizeof host - 1);
    for (char *at = host; *at; at++)
        if (!isalnum((unsigned char)*at)) *at = '-';
    snprintf(out, ENX_WIRE_NAME_BYTES, "%s-%d", host[0] ? host : "machine", (int)getpid());
}

static void say(void *user, const char *sentence)
{
    fprintf(stderr, "worker %s: %s\n", (const char *)user, sentence);
}

static enx_status check(const options *o, enx_report *report)
{
    if (o->name && !enx_wire_is_name(o->name))
        return ENX_FAIL(report, INVALID,
                        "--name \"%s\": letters, digits, - and _ can be in it, fewer than %d",
                        o->name, ENX_WIRE_NAME_BYTES);
    if (o->slots > ENX_LEND_SLOTS_MAX)
        return ENX_FAIL(report, INVALID, "--slots: at most %d", ENX_LEND_SLOTS_MAX);
    if (o->threads > ENX_POOL_THREADS_MAX)
        return ENX_FAIL(report, INVALID, "--threads: at most %d", ENX_POOL_THREADS_MAX);
    if (o->reserve_s != 0 && !(o->reserve_s >= 0.1 && o->reserve_s <= 3600))
        return ENX_FAIL(report, INVALID, "--reserve %g: from 0.1 to 3600 seconds", o->reserve_s);
    if (o->drain_s < 0 || o->drain_s > 86400)
        return ENX_FAIL(report, INVALID, "--drain %g: from 0 to 86400 seconds", o->drain_s);
    return ENX_OK;
}

/* Until somebody stops it, or (ENX_AGAIN) the swarm wants more models; adds to `sum`. */
static enx_status serve(enx_lend *lend, const options *o, const char *name, enx_lend_count *sum,
                        enx_report *report)
{
    enx_status status = ENX_OK;
    fprintf(stderr, "worker %s: ready\n", name);
    while (status == ENX_OK && !cli_is_interrupted()) {
        if (o->calls && sum->done + enx_lend_counts(lend).done >= o->calls) break;
        status = enx_lend_turn(lend, TURN_US, report);
    }
    enx_lend_drain(lend, (uint64_t)(o->drain_s * 1e6));
    const enx_lend_count counts = enx_lend_counts(lend);
    sum->done += counts.done;
    sum->canceled += counts.canceled;
    sum->dead += counts.dead;
    sum->given_back += counts.given_back;
    return status;
}

/* Lend; again whenever the swarm wants models that are not here. */
static enx_status serve_all(enx_broker *broker, const enx_lend_options *lending, const options *o,
                            enx_lend_count *sum, enx_report *report)
{
    enx_status status = ENX_AGAIN;
    bool       is_told = false;
    while (status == ENX_AGAIN && !cli_is_interrupted()) {
        enx_lend *lend = NULL;
        status = enx_lend_open(&lend, broker, lending, report);
        if (status == ENX_OK) {
            status = serve(lend, o, lending->name, sum, report);
        } else if (status == ENX_AGAIN) {
            if (!is_told) say(lending->user, report->text);
            is_told = true;
            usleep(TURN_US);
        }
        enx_lend_close(&lend);
    }
    return status == ENX_AGAIN ? ENX_OK : status;
}

static void print_counts(const enx_lend_count *c, const char *name, bool is_json)
{
    if (is_json)
        cli_print_json(json_pack("{s:s, s:I, s:I, s:I, s:I}", "worker", name, "done",
                                 (json_int_t)c->done, "canceled", (json_int_t)c->canceled, "dead",
                                 (json_int_t)c->dead, "given_back", (json_int_t)c->given_back));
    else
        fprintf(stderr, "worker %s: %llu calls answered, %llu canceled, %llu given back\n", name,
                (unsigned long long)c->done, (unsigned long long)c->canceled,
                (unsigned long long)c->given_back);
}

static enx_status run(const options *o, bool is_json, enx_report *report)
{
    char name[ENX_WIRE_NAME_BYTES], home[CLI_PATH_BYTES_MAX], folder[CLI_PATH_BYTES_MAX + 16];
    enx_broker    *broker = NULL;
    enx_lend_count counts = { 0 };
    if (o->name) snprintf(name, sizeof name, "%s", o->name);
    else default_name(name);
    ENX_TRY(check(o, report));
    ENX_TRY(cli_home(home, report));
    snprintf(folder, sizeof folder, "%s/fetched", home);
    const enx_lend_options lending = { .name = o->name ? o->name : name,
                                       .models = o->models.items,
                                       .model_count = (uint32_t)o->models.count,
                                       .specialties = o->specialties.items,
                                       .specialty_count = (uint32_t)o->specialties.count,
                                       .folder = o->folder ? o->folder : folder,
                                       .slots = (uint32_t)o->slots,
                                       .reserve_us = (uint64_t)(o->reserve_s * 1e6),
                                       .local = { .thread_count = (uint32_t)o->threads,
                                                  .cpu = getenv("ENX_CPU") },
                                       .is_echo = o->is_echo,
                                       .say = say,
                                       .user = name };
    ENX_TRY(cli_broker_open(&broker, &o->broker, report));
    cli_catch_interrupts();
    const enx_status status = serve_all(broker, &lending, o, &counts, report);
    if (status == ENX_OK) print_counts(&counts, name, is_json);
    enx_broker_close(&broker);
    return status;
}

int cmd_worker(int argc, char **argv)
{
    static options   o;
    const cli_option list[] = {
        { "join", 'j', CLI_TEXT, (void *)&o.broker.url, "URL", "the broker, nats://host:4222" },
        { "name", '\0', CLI_TEXT, (void *)&o.name, "NAME",
          "of this worker (default: host and pid)" },
        { "models", 'm', CLI_LIST, &o.models, "FILE",
          "a model to offer, may be given again (default: all that the swarm wants are fetched)" },
        { "specialties", '\0', CLI_LIST, &o.specialties, "TAG",
          "fetch only models for this, may be given again" },
        { "folder", '\0', CLI_TEXT, (void *)&o.folder, "DIR", "where fetched models are kept" },
        { "slots", '\0', CLI_UINT, &o.slots, "N", "calls at a time (16)" },
        { "threads", '\0', CLI_UINT, &o.threads, "N", "default: one per core" },
        { "reserve", '\0', CLI_REAL, &o.reserve_s, "S",
          "take calls only while others leave some waiting for S seconds: for dear machines" },
        { "lease", '\0', CLI_REAL, &o.broker.lease_s, "S",
          "after S seconds of silence a call goes to another machine (30)" },
        { "drain", '\0', CLI_REAL, &o.drain_s, "S",
          "when asked to stop, finish what can be in S seconds (30)" },
        { "calls", '\0', CLI_UINT, &o.calls, "N", "stop after N calls" },
        { "echo", '\0', CLI_FLAG, &o.is_echo, NULL,
          "answer with the input at once: measures the way, not the models" },
        CLI_BROKER_OPTIONS(o.broker),
    };
    const cli_spec spec = { "worker --join URL [options]",
                            "Lend this machine to a swarm: take calls from its queue and answer "
                            "them.  SIGTERM or\nCtrl-C lets it finish what it has; what it cannot "
                            "finish goes to others.",
                            "enxame worker --join nats://lead.example.net:4222",
                            list,
                            sizeof list / sizeof *list,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    o.drain_s = 30;
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = run(&o, args.is_json, &report);
    return status == ENX_OK ? 0 : cli_fail("worker", &args, status, &report);
}
