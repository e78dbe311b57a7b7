/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_mcp.c - enxame mcp: the swarm as tools of an assistant, over standard input and output.
 *
 * One message a line, JSON-RPC 2.0.  A call of a tool is a command of this program as a process of
 * its own, so it is kept in the store as any job is, and what it prints comes back.  While it runs
 * messages are still read: pings are answered, a cancellation stops it, further calls wait.
 *
 * Source: modelcontextprotocol.io, specification 2025-06-18 (stdio, tools, cancellation). */
#include "backend/api_json.h"
#include "cli/cli_job.h"
#include "plat/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum {
    LINE_BYTES_MAX = 16 << 20,
    OUT_BYTES_MAX = 256 << 20,
    FILES_MAX = 64,
    ARGUMENTS_MAX = 2 * FILES_MAX + 16,
    NUMBER_BYTES_MAX = 32,
    READ_BYTES = 1 << 16,
    PARSE_ERROR = -32700,
    INVALID_REQUEST = -32600,
    NO_METHOD = -32601,
    INVALID_PARAMS = -32602,
};

static const char *const versions[] = { "2025-06-18", "2025-03-26", "2024-11-05" };

/* clang-format off */
static const char tools[] =
    "[{\"name\":\"delegate\",\"description\":\"Have a swarm of local language models do a job on "
    "whole files: a large model plans, small ones work in parallel, every answer is checked. "
    "Returns the text, a certificate of its error rate, and the bill.\",\"inputSchema\":{\"type\":"
    "\"object\",\"properties\":{\"goal\":{\"type\":\"string\",\"description\":\"what to do, in "
    "words\"},\"files\":{\"type\":\"array\",\"items\":{\"type\":\"string\"},\"description\":"
    "\"paths of text files\"},\"text\":{\"type\":\"string\",\"description\":\"... or the text "
    "itself\"},\"accuracy\":{\"type\":\"number\",\"description\":\"certify that this share of the "
    "answers equals the large model's, as 0.98\"},\"budget\":{\"type\":\"number\",\"description\":"
    "\"dollars that may be spent at most\"}},\"required\":[\"goal\"]}},"
    "{\"name\":\"map\",\"description\":\"The same for many records: a JSONL file in, a JSONL file "
    "out, resumable.\",\"inputSchema\":{\"type\":\"object\",\"properties\":{\"goal\":{\"type\":"
    "\"string\"},\"input\":{\"type\":\"string\",\"description\":\"path of a JSONL file\"},"
    "\"output\":{\"type\":\"string\",\"description\":\"path of the file to write\"},\"field\":"
    "{\"type\":\"string\",\"description\":\"the field with the text (text)\"},\"accuracy\":"
    "{\"type\":\"number\"},\"budget\":{\"type\":\"number\"}},\"required\":[\"goal\",\"input\","
    "\"output\"]}}]";
/* clang-format on */

typedef struct mcp {
    char        swarm[CLI_PATH_BYTES_MAX];
    const char *program;
    enx_buf     in;      /* bytes that are no whole line yet */
    json_t     *waiting; /* calls that came while one ran */
    bool        is_end;
} mcp;

/* ---- Messages ------------------------------------------------------------------------------- */

/* Takes the reference. */
static void say(json_t *message)
{
    json_dumpf(message, stdout, JSON_COMPACT);
    fputc('\n', stdout);
    fflush(stdout);
    json_decref(message);
}

static void say_result(const json_t *id, json_t *result)
{
    say(json_pack("{s:s, s:O, s:o}", "jsonrpc", "2.0", "id", id, "result", result));
}

static void say_error(const json_t *id, int code, const char *text)
{
    json_t *none = json_null();
    say(json_pack("{s:s, s:O, s:{s:i, s:s}}", "jsonrpc", "2.0", "id", id ? id : none, "error",
                  "code", code, "message", text));
}

static void say_text(const json_t *id, const char *text, json_t *structured, bool is_error)
{
    json_t *result = json_pack("{s:[{s:s, s:o}], s:b}", "content", "type", "text", "text",
                               cli_json_text(text, strlen(text)), "isError", (int)is_error);
    if (structured) json_object_set_new(result, "structuredContent", structured);
    say_result(id, result);
}

/* The next whole line, without its end, in `line`; false: there is none yet. */
static bool take_line(mcp *m, enx_buf *line)
{
    const char *text = enx_buf_text(&m->in);
    const char *end = memchr(text, '\n', m->in.size_bytes);
    enx_buf_clear(line);
    if (!end) return false;
    const size_t size = (size_t)(end - text) + 1;
    if (enx_buf_append(line, text, size - 1) != ENX_OK) enx_buf_clear(line);
    memmove(m->in.data, m->in.data + size, m->in.size_bytes - size);
    m->in.size_bytes -= size;
    return true;
}

static void read_some(mcp *m)
{
    char          bytes[READ_BYTES];
    const ssize_t size = read(STDIN_FILENO, bytes, sizeof bytes);
    if (size < 0 && errno == EINTR) return;
    if (size <= 0 || enx_buf_append(&m->in, bytes, (size_t)size) != ENX_OK) m->is_end = true;
}

/* ---- Children ------------------------------------------------------------------------------- */

typedef struct command {
    const char *arguments[ARGUMENTS_MAX];
    int         count;
    char        accuracy[NUMBER_BYTES_MAX], budget[NUMBER_BYTES_MAX];
} command;

static void add(command *c, const char *argument)
{
    if (c->count < ARGUMENTS_MAX - 1) c->arguments[c->count++] = argument;
}

static void add_number(command *c, const json_t *arguments, const char *key,
                       char text[NUMBER_BYTES_MAX])
{
    const json_t *value = json_object_get(arguments, key);
    if (!json_is_number(value)) return;
    snprintf(text, NUMBER_BYTES_MAX, "--%s=%.9f", key, json_number_value(value));
    add(c, text);
}

static enx_status start(const mcp *m, const command *c, pid_t *pid, int *out, enx_report *report)
{
    posix_spawn_file_actions_t actions;
    int                        ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) return ENX_FAIL(report, IO, "no pipe: %s", strerror(errno));
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const int error = posix_spawn(pid, m->program, &actions, NULL,
                                  (char *const *)(uintptr_t)c->arguments, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    *out = ends[0];
    if (error == 0) return ENX_OK;
    close(ends[0]);
    return ENX_FAIL(report, IO, "cannot start %s: %s", m->program, strerror(error));
}

/* A message while a call runs: cancels it, is a ping, or waits. */
static void take_aside(mcp *m, const json_t *id, pid_t pid, json_t *message)
{
    const char *method = json_string_value(json_object_get(message, "method"));
    if (method && strcmp(method, "notifications/cancelled") == 0) {
        const json_t *which = json_object_get(json_object_get(message, "params"), "requestId");
        if (json_equal(which, id)) kill(pid, SIGINT);
    } else if (method && strcmp(method, "ping") == 0)
        say_result(json_object_get(message, "id"), json_object());
    else json_array_append(m->waiting, message);
}

static void take_lines_aside(mcp *m, const json_t *id, pid_t pid)
{
    enx_buf line;
    enx_buf_init(&line, LINE_BYTES_MAX);
    while (take_line(m, &line)) {
        json_t *message = NULL;
        if (enx_api_json_load(&message, enx_buf_text(&line), line.size_bytes, NULL) == ENX_OK)
            take_aside(m, id, pid, message);
        json_decref(message);
    }
    enx_buf_deinit(&line);
}

/* Until the child closes its output.  An assistant that hangs up stops the job. */
static void collect(mcp *m, const json_t *id, pid_t pid, int fd, enx_buf *out)
{
    char bytes[READ_BYTES];
    for (;;) {
        struct pollfd fds[2] = { { .fd = fd, .events = POLLIN },
                                 { .fd = m->is_end ? -1 : STDIN_FILENO, .events = POLLIN } };
        if (poll(fds, 2, -1) < 0 && errno != EINTR) return;
        if (fds[1].revents) {
            read_some(m);
            take_lines_aside(m, id, pid);
            if (m->is_end) kill(pid, SIGINT);
        }
        if (!fds[0].revents) continue;
        const ssize_t size = read(fd, bytes, sizeof bytes);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0 || enx_buf_append(out, bytes, (size_t)size) != ENX_OK) return;
    }
}

static void run(mcp *m, const json_t *id, const command *c)
{
    enx_report report = { 0 };
    enx_buf    out;
    pid_t      pid = 0;
    int        fd = -1, code = 0;
    if (start(m, c, &pid, &fd, &report) != ENX_OK) {
        say_text(id, report.text, NULL, true);
        return;
    }
    enx_buf_init(&out, OUT_BYTES_MAX);
    collect(m, id, pid, fd, &out);
    close(fd);
    waitpid(pid, &code, 0);
    json_t *json = json_loadb(enx_buf_text(&out), out.size_bytes, JSON_DISABLE_EOF_CHECK, NULL);
    const json_t *answer = json_object_get(json, "answer");
    json_object_del(json, "answers");
    if (json_is_string(answer)) {
        json_t *text = json_incref((json_t *)(uintptr_t)answer);
        json_object_del(json, "answer");
        say_text(id, json_string_value(text), json_incref(json), false);
        json_decref(text);
    } else
        say_text(id, enx_buf_text(&out), json ? json_incref(json) : NULL,
                 code != 0 || !json || json_object_get(json, "error"));
    json_decref(json);
    enx_buf_deinit(&out);
}

/* ---- Tools ---------------------------------------------------------------------------------- */

static enx_status write_temporary(const char *name, const char *text, size_t size_bytes,
                                  char path[CLI_PATH_BYTES_MAX + 64], enx_report *report)
{
    char home[CLI_PATH_BYTES_MAX];
    ENX_TRY(cli_home(home, report));
    ENX_TRY(enx_dir_make(home, report));
    snprintf(path, CLI_PATH_BYTES_MAX + 64, "%s/mcp-%ld-%s", home, (long)getpid(), name);
    return enx_file_write(path, text, size_bytes, report);
}

static enx_status delegate(mcp *m, const json_t *id, const json_t *arguments, enx_report *report)
{
    command       c = { .arguments = { "enxame", "run", "--json", "-s", m->swarm }, .count = 5 };
    const json_t *goal = json_object_get(arguments, "goal"),
                 *files = json_object_get(arguments, "files"),
                 *text = json_object_get(arguments, "text");
    char    path[CLI_PATH_BYTES_MAX + 64] = "";
    size_t  i;
    json_t *file;
    if (!json_is_string(goal) || json_array_size(files) > FILES_MAX ||
        (json_array_size(files) == 0) == !json_is_string(text))
        return ENX_FAIL(report, INVALID, "a goal, and files (at most %d) or a text, are needed",
                        FILES_MAX);
    add_number(&c, arguments, "accuracy", c.accuracy);
    add_number(&c, arguments, "budget", c.budget);
    json_array_foreach (files, i, file) {
        if (!json_is_string(file)) return ENX_FAIL(report, INVALID, "files: paths are needed");
        add(&c, "-i");
        add(&c, json_string_value(file));
    }
    if (json_is_string(text)) {
        ENX_TRY(write_temporary("text", json_string_value(text), json_string_length(text), path,
                                report));
        add(&c, "-i");
        add(&c, path);
    }
    add(&c, "--");
    add(&c, json_string_value(goal));
    run(m, id, &c);
    if (path[0]) unlink(path);
    return ENX_OK;
}

static enx_status map(mcp *m, const json_t *id, const json_t *arguments, enx_report *report)
{
    command     c = { .arguments = { "enxame", "map", "--json", "-s", m->swarm }, .count = 5 };
    const char *goal = json_string_value(json_object_get(arguments, "goal")),
               *in = json_string_value(json_object_get(arguments, "input")),
               *out = json_string_value(json_object_get(arguments, "output")),
               *field = json_string_value(json_object_get(arguments, "field"));
    char    path[CLI_PATH_BYTES_MAX + 64];
    enx_buf job;
    if (!goal || !in || !out) return ENX_FAIL(report, INVALID, "goal, input and output are needed");
    enx_buf_init(&job, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_json_append(
        &job, json_pack("{s:s, s:s}", "goal", goal, "input", field ? field : "text"));
    if (status == ENX_OK) /* JSON is YAML */
        status = write_temporary("job.yaml", enx_buf_text(&job), job.size_bytes, path, report);
    enx_buf_deinit(&job);
    if (status != ENX_OK) return status;
    add_number(&c, arguments, "accuracy", c.accuracy);
    add_number(&c, arguments, "budget", c.budget);
    add(&c, "-o");
    add(&c, out);
    add(&c, "--");
    add(&c, path);
    add(&c, in);
    run(m, id, &c);
    unlink(path);
    return ENX_OK;
}

static void call_tool(mcp *m, const json_t *id, const json_t *params)
{
    const char   *name = json_string_value(json_object_get(params, "name"));
    const json_t *arguments = json_object_get(params, "arguments");
    enx_report    report = { 0 };
    enx_status    status = ENX_OK;
    if (name && strcmp(name, "delegate") == 0) status = delegate(m, id, arguments, &report);
    else if (name && strcmp(name, "map") == 0) status = map(m, id, arguments, &report);
    else {
        say_error(id, INVALID_PARAMS, "there are the tools delegate and map");
        return;
    }
    if (status != ENX_OK) say_text(id, report.text, NULL, true);
}

/* ---- Requests ------------------------------------------------------------------------------- */

static void initialize(const json_t *id, const json_t *params)
{
    const char *asked = json_string_value(json_object_get(params, "protocolVersion"));
    const char *version = versions[0];
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++)
        if (asked && strcmp(asked, versions[i]) == 0) version = versions[i];
    say_result(id, json_pack("{s:s, s:{s:{}}, s:{s:s, s:s}}", "protocolVersion", version,
                             "capabilities", "tools", "serverInfo", "name", "enxame", "version",
                             ENX_VERSION));
}

static void handle(mcp *m, const json_t *message)
{
    const char   *method = json_string_value(json_object_get(message, "method"));
    const json_t *id = json_object_get(message, "id"), *params = json_object_get(message, "params");
    if (!method) {
        if (id) say_error(id, INVALID_REQUEST, "a message without a method");
        return;
    }
    if (!id) return; /* notifications want nothing */
    if (strcmp(method, "initialize") == 0) initialize(id, params);
    else if (strcmp(method, "ping") == 0) say_result(id, json_object());
    else if (strcmp(method, "tools/list") == 0)
        say_result(id, json_pack("{s:o}", "tools", json_loads(tools, 0, NULL)));
    else if (strcmp(method, "tools/call") == 0) call_tool(m, id, params);
    else say_error(id, NO_METHOD, "this server has tools and no more");
}

static void handle_line(mcp *m, const enx_buf *line)
{
    json_t *message = NULL;
    if (line->size_bytes == 0) return;
    if (enx_api_json_load(&message, enx_buf_text(line), line->size_bytes, NULL) == ENX_OK)
        handle(m, message);
    else say_error(NULL, PARSE_ERROR, "a JSON object on each line is needed");
    json_decref(message);
}

static void serve(mcp *m)
{
    enx_buf line;
    enx_buf_init(&line, LINE_BYTES_MAX);
    while (!m->is_end || json_array_size(m->waiting) > 0) {
        while (json_array_size(m->waiting) > 0) {
            json_t *message = json_incref(json_array_get(m->waiting, 0));
            json_array_remove(m->waiting, 0);
            handle(m, message);
            json_decref(message);
        }
        while (json_array_size(m->waiting) == 0 && take_line(m, &line)) handle_line(m, &line);
        if (!m->is_end && json_array_size(m->waiting) == 0) read_some(m);
    }
    while (take_line(m, &line)) handle_line(m, &line);
    enx_buf_deinit(&line);
}

int cmd_mcp(int argc, char **argv)
{
    static mcp       m = { .program = "/proc/self/exe" };
    const char      *swarm = NULL;
    const cli_option options[] = {
        { "swarm", 's', CLI_TEXT, &swarm, "FILE", "the swarm (default: models/swarm.yaml)" },
    };
    const cli_spec spec = { "mcp [-s swarm.yaml]",
                            "Offer the swarm to an assistant that speaks the Model Context "
                            "Protocol, on standard input and\noutput: the tools delegate (a goal "
                            "and files) and map (a goal and records).",
                            "enxame mcp -s models/swarm.yaml",
                            options,
                            1,
                            0,
                            0 };
    cli_args       args;
    enx_report     report = { 0 };
    enx_status     status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    if (status == ENX_OK) status = cli_swarm_path(m.swarm, swarm, &report);
    if (status != ENX_OK) return cli_fail("mcp", &args, status, &report);
    enx_buf_init(&m.in, 2 * LINE_BYTES_MAX);
    m.waiting = json_array();
    serve(&m);
    json_decref(m.waiting);
    enx_buf_deinit(&m.in);
    return 0;
}
