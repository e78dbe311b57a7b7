/* SPDX-License-Identifier: Apache-2.0 */
/* main.c - which command, and what there is. */
#include "base/nearest.h"
#include "cli/cli.h"
#include "cli/cmd_exam.h"
#include "cli/cmd_synthesize.h"
#include "cli/cmd_train.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>

typedef struct command {
    const char *name;
    int (*run)(int argc, char **argv);
    const char *about;
} command;

static const command commands[] = {
    { "run", cmd_run, "one job: a goal and texts; the answer on stdout" },
    { "map", cmd_map, "many records, JSONL in and out, resumable" },
    { "demo", cmd_demo, "real paragraphs repaired three ways, and compared" },
    { "exam", cmd_exam, "grade a model on text whose truth is known" },
    { "chat", cmd_chat, "talk with a model" },
    { "serve", cmd_serve, "models and swarm over HTTP, and a page to watch them" },
    { "mcp", cmd_mcp, "the swarm as tools of an assistant" },
    { "generate", cmd_generate, "continue a text by one model" },
    { "tokenize", cmd_tokenize, "text to token ids" },
    { "models", cmd_models, "what a model file or a swarm holds" },
    { "perplexity", cmd_perplexity, "how well a model predicts a text" },
    { "quantize", cmd_quantize, "a model again, with smaller matrices" },
#ifdef HAVE_TRAIN
    { "train", cmd_train, "make a model from a recipe" },
#endif
    { "synthesize", cmd_synthesize, "text that a model writes for a smaller one to learn from" },
    { "code", cmd_code, "a program written, run and repaired until it passes" },
    { "fix", cmd_fix, "source that no longer parses, repaired and proved by its parser" },
    { "sandbox", cmd_sandbox, "run a program that nobody trusts" },
    { "worker", cmd_worker, "lend this machine to a swarm elsewhere" },
    { "workers", cmd_workers, "the machines of a swarm, and what waits for them" },
    { "scale", cmd_scale, "the law of loss and compute: fit, forecast, odds" },
    { "market", cmd_market, "who earns from models, and at what price" },
    { "bench", cmd_bench, "what is promised, measured on this machine" },
    { "jobs", cmd_jobs, "every job, newest first" },
    { "checks", cmd_checks, "what each check catches, and what it costs" },
    { "bill", cmd_bill, "what a job cost, model by model, call by call" },
    { "resume", cmd_resume, "go on with a job that was stopped" },
    { "cancel", cmd_cancel, "give a job up for good" },
    { "doctor", cmd_doctor, "is this machine fit; where are things" },
};

enum { COMMAND_COUNT = sizeof commands / sizeof *commands };

static void print_help(FILE *out)
{
    fprintf(out,
            "Usage: enxame COMMAND …\n\n"
            "A large model plans and hands out work, small ones do it, every answer is checked."
            "\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-11s %s\n", commands[i].name, commands[i].about);
    fprintf(out, "\n`enxame COMMAND --help` explains one of them.\n"
                 "\nExample: enxame run -i letter.txt \"put the accents back\"\n");
}

static int fail_unknown(const char *word)
{
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++) names[i] = commands[i].name;
    const char *near = enx_nearest(word, names, COMMAND_COUNT);
    fprintf(stderr, "enxame: unknown command \"%s\"%s%s%s; `enxame --help` lists them\n", word,
            near ? "; did you mean \"" : "", near ? near : "", near ? "\"?" : "");
    return enx_status_exit_code(ENX_INVALID);
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    if (argc < 2) {
        print_help(stderr);
        return enx_status_exit_code(ENX_INVALID);
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("enxame %s\n", ENX_VERSION);
        return 0;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help(stdout);
        return 0;
    }
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (strcmp(argv[1], commands[i].name) == 0) {
            const int code = commands[i].run(argc - 1, argv + 1);
            if (fflush(stdout) == 0) return code;
            perror("enxame: standard output");
            return code ? code : enx_status_exit_code(ENX_IO);
        }
    return fail_unknown(argv[1]);
}
