/* SPDX-License-Identifier: Apache-2.0 */
/* cli.h - what every command shares: options, help, failures, JSON, paths.
 *
 * A command is `int cmd_x(int argc, char **argv)`: argv[0] is its own name, the result is the
 * process's exit code (status.h).  Nothing but the result goes to stdout; the rest to stderr.
 *
 * Layer: cli.  Thread-safety: the main thread.
 */
#ifndef ENX_CLI_CLI_H
#define ENX_CLI_CLI_H

#include "base/buf.h"
#include "base/status.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum {
    CLI_LIST_MAX = 256,
    CLI_OPTIONS_MAX = 40,
    CLI_PATH_BYTES_MAX = 4096,
    CLI_TEXT_BYTES_MAX = 64 << 20, /* of a text that is read whole: 64 MiB */
};

typedef enum cli_kind {
    CLI_FLAG, /* bool */
    CLI_TEXT, /* const char * */
    CLI_LIST, /* cli_list: may be given several times */
    CLI_UINT, /* uint64_t */
    CLI_REAL, /* double */
} cli_kind;

typedef struct cli_list {
    const char *items[CLI_LIST_MAX];
    size_t      count;
} cli_list;

typedef struct cli_option {
    const char *name;   /* without "--" */
    char        letter; /* '\0': none */
    cli_kind    kind;
    void       *value;
    const char *argument; /* what help calls it */
    const char *help;
} cli_option;

typedef struct cli_spec {
    const char       *usage; /* after "enxame " */
    const char       *about;
    const char       *example;
    const cli_option *options; /* [option_count], besides --json and --help */
    size_t            option_count;
    size_t            operands_min, operands_max;
} cli_spec;

typedef struct cli_args {
    cli_list operands;
    bool     is_json;
    bool     is_help; /* help was printed: return 0 */
} cli_args;

/* Options and operands in any order; "--" ends options; "--name=value" and "--name value". */
ENX_MUST_USE enx_status cli_parse(const cli_spec *spec, cli_args *args, int argc, char **argv,
                                  enx_report *report);

/* Give a number among the options a value from text, as --name does: for words that come later.
 * ENX_INVALID: no such number, with the nearest name; no number. */
ENX_MUST_USE enx_status cli_set_number(const cli_option *options, size_t count, const char *name,
                                       const char *text, enx_report *report);

/* Tell why on stderr (and as {"error": ...} on stdout for machines); returns the exit code. */
int cli_fail(const char *command, const cli_args *args, enx_status status,
             const enx_report *report);

/* A command that prints one result; `state` is what its options read into, and its result. */
typedef struct cli_steps {
    const char *name; /* "scale fit" */
    enx_status (*run)(void *state, const cli_args *args, enx_report *report);
    void (*print_json)(const void *state);
    void (*print_text)(const void *state);
    void (*close)(void *state); /* however far run came, if at all; NULL: nothing to close */
} cli_steps;

/* Read the command line, run, print, close, tell what failed; returns the exit code. */
int cli_run(const cli_spec *spec, const cli_steps *steps, void *state, int argc, char **argv);

/* Print on stdout and take the reference away. */
void                    cli_print_json(json_t *json);
/* ... with every digit that a double has. */
void                    cli_print_json_exact(json_t *json);
/* A JSON string; bytes that are not UTF-8 become U+FFFD. */
json_t                 *cli_json_text(const char *text, size_t size_bytes);
json_t                 *cli_json_usd(uint64_t usd_nano);
/* Append it, compact. */
ENX_MUST_USE enx_status cli_json_append(enx_buf *out, const json_t *json);

/* Write text that a model or a file gave.  On a terminal control characters but line breaks and
 * tabs are shown as U+FFFD: text must not command it. */
void cli_write_text(FILE *out, const char *text, size_t size_bytes);

/* Is stderr a terminal that can be drawn on, and may it be in color?  (NO_COLOR and TERM say.) */
bool cli_is_live(void);
bool cli_has_color(void);

/* Append the whole content of `path` ("-": standard input). */
ENX_MUST_USE enx_status cli_read(enx_buf *out, const char *path, enx_report *report);

/* ENXAME_HOME, or $XDG_DATA_HOME/enxame, or ~/.local/share/enxame.  ENX_NOTFOUND: no home. */
ENX_MUST_USE enx_status cli_home(char out[CLI_PATH_BYTES_MAX], enx_report *report);
/* A file of the default models: the first that exists of
 *     $ENXAME_HOME/models/NAME, <binary>/../share/enxame/models/NAME (installed),
 *     <binary>/../models/NAME (a build folder in the source tree), models/NAME. */
ENX_MUST_USE enx_status cli_model_path(char out[CLI_PATH_BYTES_MAX], const char *name,
                                       enx_report *report);
/* `path`, or the default swarm file, swarm.yaml of the default models. */
ENX_MUST_USE enx_status cli_swarm_path(char out[CLI_PATH_BYTES_MAX], const char *path,
                                       enx_report *report);
/* As realpath does, but the last part need not exist. */
void                    cli_absolute_path(char out[CLI_PATH_BYTES_MAX], const char *path);
/* Is this the name of a swarm file, ".yaml" or ".yml"? */
bool                    cli_is_yaml(const char *path);

/* One process at a time has a number of a file of that home, until it closes *fd or ends, however:
 * ENX_AGAIN. */
ENX_MUST_USE enx_status cli_lock_take(const char *file, uint64_t number, int *fd,
                                      enx_report *report);

/* The value of an environment variable that holds a key; NULL without. */
const char *cli_secret(const char *name);

/* Set by the first SIGINT or SIGTERM after cli_catch_interrupts(); a second one ends the process.
 */
void cli_catch_interrupts(void);
bool cli_is_interrupted(void);

/* For who goes on after an interrupt: SIGINT is counted and never ends the process. */
void cli_count_interrupts(void);
/* Was there a SIGINT, since they were forgotten? */
bool cli_was_interrupted(void);
void cli_forget_interrupts(void);
/* Was there a SIGTERM or SIGHUP? */
bool cli_is_ending(void);

/* The commands, one a file. */
int cmd_bench(int argc, char **argv);
int cmd_bench_certificate(int argc, char **argv);
int cmd_bench_engine(int argc, char **argv);
int cmd_bench_swarm(int argc, char **argv);
int cmd_bill(int argc, char **argv);
int cmd_cancel(int argc, char **argv);
int cmd_chat(int argc, char **argv);
int cmd_code(int argc, char **argv);
int cmd_demo(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_fix(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_checks(int argc, char **argv);
int cmd_jobs(int argc, char **argv);
int cmd_map(int argc, char **argv);
int cmd_market(int argc, char **argv);
int cmd_market_buy(int argc, char **argv);
int cmd_market_learn(int argc, char **argv);
int cmd_market_prices(int argc, char **argv);
int cmd_market_claims(int argc, char **argv);
int cmd_market_run(int argc, char **argv);
int cmd_market_textbook(int argc, char **argv);
int cmd_mcp(int argc, char **argv);
int cmd_models(int argc, char **argv);
int cmd_perplexity(int argc, char **argv);
int cmd_quantize(int argc, char **argv);
int cmd_resume(int argc, char **argv);
int cmd_run(int argc, char **argv);
int cmd_sandbox(int argc, char **argv);
int cmd_scale(int argc, char **argv);
int cmd_scale_fit(int argc, char **argv);
int cmd_scale_forecast(int argc, char **argv);
int cmd_scale_odds(int argc, char **argv);
int cmd_serve(int argc, char **argv);
int cmd_tokenize(int argc, char **argv);
int cmd_worker(int argc, char **argv);
int cmd_workers(int argc, char **argv);

#endif /* ENX_CLI_CLI_H */
