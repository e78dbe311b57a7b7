/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_bench.c - enxame bench: what is promised, measured. */
#include "cli/cli.h"
#include "cli/cli_verbs.h"

int cmd_bench(int argc, char **argv)
{
    static const cli_verb items[] = {
        { "engine", cmd_bench_engine, "a model's speed, beside what the machine can" },
        { "certificate", cmd_bench_certificate, "do claims about errors hold, and what they save" },
        { "swarm", cmd_bench_swarm, "what the swarm adds to its models, and what it saves" },
    };
    static const cli_verbs verbs = {
        "bench",
        "WHAT [options]",
        "Each prints a table, or one JSON object with --json.",
        "enxame bench certificate --trials 200",
        items,
        sizeof items / sizeof *items,
    };
    return cli_run_verb(&verbs, argc, argv);
}
