/* SPDX-License-Identifier: Apache-2.0 */
/* cli.c - options, failures, JSON and paths of the commands. */
#include "cli/cli.h"

#include "base/check.h"
#include "base/nearest.h"
#include "plat/file.h"
#include "text/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- Options -------------------------------------------------------------------------------- */

static void print_option(const cli_option *o)
{
    char left[64];
    snprintf(left, sizeof left, "%c%c%s --%s %s", o->letter ? '-' : ' ',
             o->letter ? o->letter : ' ', o->letter ? "," : " ", o->name,
             o->argument ? o->argument : "");
    printf("  %-26s %s\n", left, o->help);
}

static void print_help(const cli_spec *spec)
{
    static const cli_option common[] = {
        { "json", '\0', CLI_FLAG, NULL, NULL, "print one JSON object (docs/json.md)" },
        { "help", 'h', CLI_FLAG, NULL, NULL, "print this" },
    };
    printf("Usage: enxame %s\n\n%s\n\n", spec->usage, spec->about);
    for (size_t i = 0; i < spec->option_count; i++) print_option(&spec->options[i]);
    for (size_t i = 0; i < 2; i++) print_option(&common[i]);
    printf("\nExample: %s\n", spec->example);
}

static const cli_option *find_option(const cli_spec *spec, const char *name, size_t size,
                                     char letter)
{
    for (size_t i = 0; i < spec->option_count; i++) {
        const cli_option *o = &spec->options[i];
        if (letter ? o->letter == letter
                   : strlen(o->name) == size && strncmp(o->name, name, size) == 0)
            return o;
    }
    return NULL;
}

static enx_status fail_unknown(const cli_spec *spec, const char *name, enx_report *report)
{
    const char *names[CLI_OPTIONS_MAX + 2] = { "json", "help" };
    size_t      count = 2;
    for (size_t i = 0; i < spec->option_count; i++) names[count++] = spec->options[i].name;
    const char *near = name[0] == '-' ? enx_nearest(name + 2, names, count) : NULL;
    return ENX_FAIL(report, INVALID, "unknown option %s%s%s%s; see --help", name,
                    near ? "; did you mean --" : "", near ? near : "", near ? "?" : "");
}

static enx_status set_value(const cli_option *o, const char *text, enx_report *report)
{
    char *end = NULL;
    errno = 0;
    switch (o->kind) {
    case CLI_FLAG:
        *(bool *)o->value = true;
        return ENX_OK;
    case CLI_TEXT:
        *(const char **)o->value = text;
        return ENX_OK;
    case CLI_LIST: {
        cli_list *list = o->value;
        if (list->count == CLI_LIST_MAX)
            return ENX_FAIL(report, LIMIT, "--%s: at most %d times", o->name, CLI_LIST_MAX);
        list->items[list->count++] = text;
        return ENX_OK;
    }
    case CLI_UINT: {
        const unsigned long long value = strtoull(text, &end, 10);
        if (text[0] == '-' || end == text || *end || errno)
            return ENX_FAIL(report, INVALID, "--%s %s: a whole number from 0 on is needed", o->name,
                            text);
        *(uint64_t *)o->value = value;
        return ENX_OK;
    }
    case CLI_REAL: {
        const double value = strtod(text, &end);
        if (end == text || *end || !isfinite(value))
            return ENX_FAIL(report, INVALID, "--%s %s: a number is needed", o->name, text);
        *(double *)o->value = value;
        return ENX_OK;
    }
    }
    return ENX_OK;
}

enx_status cli_set_number(const cli_option *options, size_t count, const char *name,
                          const char *text, enx_report *report)
{
    const char *names[CLI_OPTIONS_MAX];
    size_t      name_count = 0;
    ENX_CHECK(count <= CLI_OPTIONS_MAX);
    for (size_t i = 0; i < count; i++) {
        const cli_option *o = &options[i];
        if (o->kind != CLI_UINT && o->kind != CLI_REAL) continue;
        if (strcmp(o->name, name) == 0) return set_value(o, text, report);
        names[name_count++] = o->name;
    }
    const char *near = enx_nearest(name, names, name_count);
    return ENX_FAIL(report, INVALID, "%s is nothing to set%s%s%s", name,
                    near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
}

/* Read the option at argv[*at]; *at ends on its last word. */
static enx_status parse_option(const cli_spec *spec, cli_args *args, int argc, char **argv, int *at,
                               enx_report *report)
{
    const char       *word = argv[*at];
    const bool        is_long = word[1] == '-';
    const char       *equal = is_long ? strchr(word, '=') : NULL;
    const size_t      size = equal ? (size_t)(equal - word - 2) : is_long ? strlen(word + 2) : 0;
    const char       *value = equal ? equal + 1 : NULL;
    const cli_option *o = find_option(spec, word + 2, size, is_long ? '\0' : word[1]);
    if (strcmp(word, "--json") == 0) {
        args->is_json = true;
        return ENX_OK;
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
        args->is_help = true;
        return ENX_OK;
    }
    if (!o) return fail_unknown(spec, word, report);
    if (!is_long && word[2]) value = word + 2;
    if (o->kind == CLI_FLAG && value)
        return ENX_FAIL(report, INVALID, "--%s takes no value", o->name);
    if (o->kind != CLI_FLAG && !value) {
        if (*at + 1 >= argc)
            return ENX_FAIL(report, INVALID, "--%s needs %s", o->name, o->argument);
        value = argv[++*at];
    }
    return set_value(o, value, report);
}

enx_status cli_parse(const cli_spec *spec, cli_args *args, int argc, char **argv,
                     enx_report *report)
{
    bool       is_plain = false;
    enx_status status = ENX_OK;
    ENX_CHECK(spec->option_count <= CLI_OPTIONS_MAX);
    *args = (cli_args){ 0 };
    for (int i = 1; i < argc; i++) /* so that a failure is told in the right form */
        if (strcmp(argv[i], "--json") == 0) args->is_json = true;
    for (int i = 1; i < argc && status == ENX_OK; i++) {
        if (!is_plain && strcmp(argv[i], "--") == 0) is_plain = true;
        else if (!is_plain && argv[i][0] == '-' && argv[i][1])
            status = parse_option(spec, args, argc, argv, &i, report);
        else if (args->operands.count == CLI_LIST_MAX)
            status = ENX_FAIL(report, LIMIT, "more than %d operands", CLI_LIST_MAX);
        else args->operands.items[args->operands.count++] = argv[i];
    }
    if (status != ENX_OK) return status;
    if (args->is_help) {
        print_help(spec);
        return ENX_OK;
    }
    if (args->operands.count < spec->operands_min || args->operands.count > spec->operands_max)
        return ENX_FAIL(report, INVALID, "%s; usage: enxame %s",
                        args->operands.count < spec->operands_min ? "something is missing"
                                                                  : "too many words",
                        spec->usage);
    return ENX_OK;
}

/* ---- Failures and JSON ---------------------------------------------------------------------- */

static bool has_printed_json;

int cli_fail(const char *command, const cli_args *args, enx_status status, const enx_report *report)
{
    const char *text = report->text[0] ? report->text : enx_status_text(status);
    fprintf(stderr, "enxame %s: ", command);
    cli_write_text(stderr, text, strlen(text));
    fputc('\n', stderr);
    if (args->is_json && !has_printed_json) /* one object, whatever happens */
        cli_print_json(json_pack("{s:{s:s, s:o, s:i}}", "error", "status", enx_status_text(status),
                                 "text", cli_json_text(text, strlen(text)), "exit_code",
                                 enx_status_exit_code(status)));
    return enx_status_exit_code(status);
}

int cli_run(const cli_spec *spec, const cli_steps *steps, void *state, int argc, char **argv)
{
    cli_args   args;
    enx_report report = { 0 };
    enx_status status = cli_parse(spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = steps->run(state, &args, &report);
    if (status == ENX_OK && args.is_json) steps->print_json(state);
    else if (status == ENX_OK) steps->print_text(state);
    if (steps->close) steps->close(state);
    return status == ENX_OK ? 0 : cli_fail(steps->name, &args, status, &report);
}

static void print_json_digits(json_t *json, size_t digits)
{
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(digits) | JSON_ENCODE_ANY);
    fputc('\n', stdout);
    has_printed_json = true;
    json_decref(json);
}

void cli_print_json(json_t *json) { print_json_digits(json, 10); }

void cli_print_json_exact(json_t *json) { print_json_digits(json, 17); }

json_t *cli_json_text(const char *text, size_t size_bytes)
{
    json_t *json = json_stringn(text, size_bytes);
    if (json) return json;
    /* Rare and small: put the replacement for every byte that is not part of a character. */
    enx_buf clean;
    enx_buf_init(&clean, 3 * size_bytes + 1);
    for (size_t at = 0; at < size_bytes;) {
        size_t  size = 4 < size_bytes - at ? 4 : size_bytes - at;
        json_t *one = NULL;
        for (; size > 0 && !one; size--) one = json_stringn(text + at, size);
        const size_t taken = one ? json_string_length(one) : 0;
        if (enx_buf_append(&clean, taken ? text + at : "\xEF\xBF\xBD", taken ? taken : 3) != ENX_OK)
            break;
        json_decref(one);
        at += taken ? taken : 1;
    }
    json = json_stringn(enx_buf_text(&clean), clean.size_bytes);
    enx_buf_deinit(&clean);
    return json;
}

static int append_chunk(const char *bytes, size_t size_bytes, void *user)
{
    return enx_buf_append(user, bytes, size_bytes) == ENX_OK ? 0 : -1;
}

enx_status cli_json_append(enx_buf *out, const json_t *json)
{
    const size_t flags = JSON_COMPACT | JSON_REAL_PRECISION(10) | JSON_ENCODE_ANY;
    return json && json_dump_callback(json, append_chunk, out, flags) == 0 ? ENX_OK : ENX_NOMEM;
}

json_t *cli_json_usd(uint64_t usd_nano) { return json_real((double)usd_nano * 1e-9); }

void cli_write_text(FILE *out, const char *text, size_t size_bytes)
{
    static const char replacement[] = "\xEF\xBF\xBD";
    if (!isatty(fileno(out))) {
        fwrite(text, 1, size_bytes, out);
        return;
    }
    for (size_t at = 0; at < size_bytes;) {
        uint32_t     c = 0;
        const size_t size = enx_utf8_decode(text + at, size_bytes - at, &c);
        const bool   is_control = (c < ' ' && c != '\n' && c != '\t') || (c >= 0x7F && c < 0xA0);
        if (is_control || c == ENX_UTF8_INVALID) fputs(replacement, out);
        else fwrite(text + at, 1, size, out);
        at += size;
    }
}

bool cli_is_live(void)
{
    const char *term = getenv("TERM");
    return isatty(STDERR_FILENO) && term && strcmp(term, "dumb") != 0;
}

bool cli_has_color(void)
{
    const char *plain = getenv("NO_COLOR");
    return cli_is_live() && !(plain && plain[0]);
}

/* ---- Files ---------------------------------------------------------------------------------- */

enx_status cli_read(enx_buf *out, const char *path, enx_report *report)
{
    const enx_status status = enx_file_read(out, path, report);
    if (status == ENX_LIMIT)
        return ENX_FAIL(report, LIMIT, "%s: more than %zu MiB; cut it into smaller files", path,
                        out->max_bytes >> 20);
    return status;
}

enx_status cli_home(char out[CLI_PATH_BYTES_MAX], enx_report *report)
{
    const char *own = getenv("ENXAME_HOME"), *data = getenv("XDG_DATA_HOME"),
               *home = getenv("HOME");
    int size = 0;
    if (own && own[0]) size = snprintf(out, CLI_PATH_BYTES_MAX, "%s", own);
    else if (data && data[0] == '/') size = snprintf(out, CLI_PATH_BYTES_MAX, "%s/enxame", data);
    else if (home && home[0])
        size = snprintf(out, CLI_PATH_BYTES_MAX, "%s/.local/share/enxame", home);
    else
        return ENX_FAIL(report, NOTFOUND,
                        "neither ENXAME_HOME nor HOME is set; name a folder for "
                        "jobs by the variable ENXAME_HOME");
    if (size >= CLI_PATH_BYTES_MAX) return ENX_FAIL(report, LIMIT, "ENXAME_HOME is too long");
    return ENX_OK;
}

/* A byte of the file is the lock; the kernel drops it when the process ends. */
enx_status cli_lock_take(const char *file, uint64_t number, int *fd, enx_report *report)
{
    char         home[CLI_PATH_BYTES_MAX], path[CLI_PATH_BYTES_MAX + 16];
    struct flock byte = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)number, .l_len = 1
    };
    ENX_TRY(cli_home(home, report));
    snprintf(path, sizeof path, "%s/%s", home, file);
    const int opened = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (opened < 0) return ENX_FAIL(report, IO, "cannot open %s: %s", path, strerror(errno));
    if (fcntl(opened, F_OFD_SETLK, &byte) == 0) {
        *fd = opened;
        return ENX_OK;
    }
    close(opened);
    return ENX_FAIL(report, AGAIN, "%s: another process has the lock", path);
}

/* The folder that this binary is in; "" when the system does not say. */
static void binary_folder(char out[CLI_PATH_BYTES_MAX])
{
    const ssize_t size = readlink("/proc/self/exe", out, CLI_PATH_BYTES_MAX - 1);
    out[size > 0 ? size : 0] = '\0';
    char *slash = strrchr(out, '/');
    if (slash) *slash = '\0';
}

enx_status cli_model_path(char out[CLI_PATH_BYTES_MAX], const char *name, enx_report *report)
{
    static const char *const folders[] = { "models", "../share/enxame/models", "../models" };
    char                     folder[CLI_PATH_BYTES_MAX] = "", home[CLI_PATH_BYTES_MAX] = "";
    char                     tried[CLI_PATH_BYTES_MAX + 64];
    binary_folder(folder);
    if (cli_home(home, NULL) != ENX_OK) home[0] = '\0';
    for (int i = 0; i < 4; i++) {
        const char *base = i == 0 ? home : folder;
        if (i < 3 && !base[0]) continue;
        if (i == 3) snprintf(tried, sizeof tried, "models/%s", name);
        else snprintf(tried, sizeof tried, "%s/%s/%s", base, folders[i], name);
        if (!enx_file_exists(tried)) continue;
        cli_absolute_path(out, tried);
        return ENX_OK;
    }
    return ENX_FAIL(report, NOTFOUND,
                    "no %s, neither in $ENXAME_HOME/models nor in the installation's models", name);
}

enx_status cli_swarm_path(char out[CLI_PATH_BYTES_MAX], const char *path, enx_report *report)
{
    if (!path) {
        const enx_status status = cli_model_path(out, "swarm.yaml", report);
        if (status != ENX_OK) enx_report_wrap(report, "name a swarm by -s FILE");
        return status;
    }
    cli_absolute_path(out, path);
    return ENX_OK;
}

void cli_absolute_path(char out[CLI_PATH_BYTES_MAX], const char *path)
{
    char whole[PATH_MAX], folder[CLI_PATH_BYTES_MAX];
    if (realpath(path, whole)) {
        snprintf(out, CLI_PATH_BYTES_MAX, "%s", whole);
        return;
    }
    const char *slash = strrchr(path, '/');
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path + 1) : 1,
             slash ? path : ".");
    const bool has_folder = realpath(folder, whole) != NULL;
    const int  size = snprintf(out, CLI_PATH_BYTES_MAX, "%s%s%s", has_folder ? whole : "",
                              has_folder ? "/" : "", has_folder && slash ? slash + 1 : path);
    if (size >= CLI_PATH_BYTES_MAX) out[0] = '\0'; /* opening it fails, by name */
}

bool cli_is_yaml(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot && (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0);
}

/* ---- Interrupts ----------------------------------------------------------------------------- */

static volatile sig_atomic_t interrupt_count;

const char *cli_secret(const char *name) { return getenv(name); }

static void on_interrupt(int number)
{
    (void)number;
    if (interrupt_count++ > 0) _exit(130);
}

void cli_catch_interrupts(void)
{
    const struct sigaction action = { .sa_handler = on_interrupt };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

bool cli_is_interrupted(void) { return interrupt_count > 0; }

static volatile sig_atomic_t was_interrupted, is_ending;

static void on_pause(int number)
{
    if (number == SIGINT) was_interrupted = 1;
    else is_ending = 1;
}

void cli_count_interrupts(void)
{
    const struct sigaction action = { .sa_handler = on_pause };
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    sigaction(SIGHUP, &action, NULL);
}

bool cli_was_interrupted(void) { return was_interrupted; }

void cli_forget_interrupts(void) { was_interrupted = 0; }

bool cli_is_ending(void) { return is_ending; }
