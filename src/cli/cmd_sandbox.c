/* SPDX-License-Identifier: Apache-2.0 */
/* cmd_sandbox.c - enxame sandbox: run a program that nobody trusts. */
#include "base/mem.h"
#include "cli/cli.h"
#include "plat/file.h"
#include "sandbox/language.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>

typedef struct sandbox_arguments {
    const char *language, *stdin_path, *out_folder;
    cli_list    inputs;
    uint64_t    memory_mib, disk_mib, file_mib, output_kib, processes, open_files, files;
    double      cpu_s, wall_s;
    bool        is_sanitized, is_weak;
} sandbox_arguments;

typedef struct sandbox_state {
    enx_sandbox       *sandbox;
    enx_buf            text, input;
    enx_buf           *contents; /* [file_count], of the files below */
    enx_sandbox_file  *files;
    size_t             file_count;
    enx_sandbox_result result;
    enx_program_step   step;
    bool               has_result;
} sandbox_state;

static bool is_interrupted(void *user)
{
    (void)user;
    return cli_is_interrupted();
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

/* FILE, or NAME=FILE when it is to have another name. */
static enx_status read_input(sandbox_state *s, const char *word, enx_report *report)
{
    const char       *equal = strchr(word, '='), *path = equal ? equal + 1 : word;
    enx_buf          *content = &s->contents[s->file_count];
    enx_sandbox_file *file = &s->files[s->file_count++];
    enx_buf_init(content, CLI_TEXT_BYTES_MAX);
    ENX_TRY(cli_read(content, path, report));
    if (equal) ENX_TRY(enx_buf_append(content, word, (size_t)(equal - word) + 1));
    /* The name that was given follows the bytes. */
    if (equal) content->data[content->size_bytes - 1] = '\0';
    file->size_bytes = content->size_bytes - (equal ? (size_t)(equal - word) + 1 : 0);
    file->bytes = enx_buf_text(content);
    file->name = equal ? enx_buf_text(content) + file->size_bytes : last_part(word);
    return ENX_OK;
}

static enx_status read_all(sandbox_state *s, const sandbox_arguments *a, const char *path,
                           enx_report *report)
{
    const size_t count = a->inputs.count;
    ENX_TRY(cli_read(&s->text, path, report));
    if (a->stdin_path) ENX_TRY(cli_read(&s->input, a->stdin_path, report));
    if (!count) return ENX_OK;
    s->contents = ENX_MEM_NEW(enx_buf, count);
    s->files = ENX_MEM_NEW(enx_sandbox_file, count);
    if (!s->contents || !s->files) return ENX_FAIL(report, NOMEM, "no memory for %zu files", count);
    for (size_t i = 0; i < count; i++) ENX_TRY(read_input(s, a->inputs.items[i], report));
    return ENX_OK;
}

static enx_status check_numbers(const sandbox_arguments *a, enx_report *report)
{
    const double   day_s = (double)ENX_SANDBOX_TIME_US_MAX * 1e-6;
    const uint64_t mib_max = ENX_SANDBOX_BYTES_MAX >> 20;
    if (!(a->cpu_s > 0 && a->cpu_s <= day_s && a->wall_s > 0 && a->wall_s <= day_s))
        return ENX_FAIL(report, INVALID, "--cpu, --time: more than 0, up to %g seconds", day_s);
    if (a->memory_mib > mib_max || a->disk_mib > mib_max || a->file_mib > mib_max ||
        a->output_kib > mib_max)
        return ENX_FAIL(report, INVALID, "--memory, --disk, --file-size, --output: at most %llu",
                        (unsigned long long)mib_max);
    if (a->processes > UINT32_MAX || a->open_files > UINT32_MAX || a->files > UINT32_MAX)
        return ENX_FAIL(report, INVALID, "--processes, --open-files, --files: too large");
    return ENX_OK;
}

static enx_sandbox_limits limits_of(const sandbox_arguments *a)
{
    enx_sandbox_limits limits = enx_sandbox_limits_default();
    limits.cpu_us = (uint64_t)(a->cpu_s * 1e6);
    limits.wall_us = (uint64_t)(a->wall_s * 1e6);
    limits.memory_bytes = a->memory_mib << 20;
    limits.disk_bytes = a->disk_mib << 20;
    limits.file_bytes = a->file_mib << 20;
    limits.stdout_bytes = limits.stderr_bytes = a->output_kib << 10;
    limits.out_bytes = a->out_folder ? limits.disk_bytes : 0;
    limits.processes = (uint32_t)a->processes;
    limits.open_files = (uint32_t)a->open_files;
    limits.files = (uint32_t)a->files;
    return limits;
}

/* A folder that held links could lead the program's names elsewhere. */
static enx_status check_folder(const char *folder, enx_report *report)
{
    DIR   *entries = opendir(folder);
    size_t count = 0;
    while (entries && readdir(entries)) count++;
    if (entries) closedir(entries);
    if (count > 2)
        return ENX_FAIL(report, INVALID, "-o %s: the folder is not empty; name a new one", folder);
    return ENX_OK;
}

/* Names come from the program, but have no "..", and folders below DIR are made here. */
static enx_status write_files(const enx_sandbox_result *result, const char *folder,
                              enx_report *report)
{
    char path[CLI_PATH_BYTES_MAX];
    for (size_t i = 0; i < result->file_count; i++) {
        const enx_sandbox_file *file = &result->files[i];
        if (snprintf(path, sizeof path, "%s/%s", folder, file->name) >= (int)sizeof path)
            return ENX_FAIL(report, LIMIT, "-o: the path is too long");
        char *slash = strrchr(path, '/');
        *slash = '\0';
        ENX_TRY(enx_dir_make(path, report));
        *slash = '/';
        ENX_TRY(enx_file_write(path, file->bytes, file->size_bytes, report));
    }
    return ENX_OK;
}

static enx_status run(sandbox_state *s, const sandbox_arguments *a, const cli_args *args,
                      enx_report *report)
{
    const char         *path = args->operands.items[0];
    const enx_language *language =
        a->language ? enx_language_find(a->language) : enx_language_of_file(path);
    if (!language)
        return ENX_FAIL(report, INVALID,
                        "which language is %s? --lang c, python, js, sh, sql or "
                        "html",
                        path);
    ENX_TRY(check_numbers(a, report));
    if (a->out_folder) ENX_TRY(check_folder(a->out_folder, report));
    ENX_TRY(read_all(s, a, path, report));
    if (a->is_weak) ENX_TRY(enx_sandbox_open_weak(&s->sandbox, 0, report));
    else ENX_TRY(enx_sandbox_open(&s->sandbox, NULL, report));
    const char *const     *arguments = args->operands.count > 1 ? args->operands.items + 1 : NULL;
    const enx_program      program = { .language = language,
                                       .text = enx_buf_text(&s->text),
                                       .size_bytes = s->text.size_bytes,
                                       .arguments = arguments,
                                       .is_sanitized = a->is_sanitized };
    const enx_sandbox_task task = { .files = s->files,
                                    .file_count = s->file_count,
                                    .stdin_bytes = enx_buf_text(&s->input),
                                    .stdin_size_bytes = s->input.size_bytes,
                                    .limits = limits_of(a),
                                    .is_collecting = a->out_folder != NULL,
                                    .should_stop = is_interrupted };
    ENX_TRY(enx_program_run(s->sandbox, &program, &task, &s->result, &s->step, report));
    s->has_result = true;
    if (a->out_folder && s->step == ENX_PROGRAM_RUN)
        ENX_TRY(write_files(&s->result, a->out_folder, report));
    return ENX_OK;
}

static void print_json(const sandbox_state *s)
{
    const enx_sandbox_result *r = &s->result;
    json_t                   *files = json_array();
    for (size_t i = 0; i < r->file_count && s->step == ENX_PROGRAM_RUN; i++)
        json_array_append_new(files,
                              json_pack("{s:o, s:I}", "name",
                                        cli_json_text(r->files[i].name, strlen(r->files[i].name)),
                                        "bytes", (json_int_t)r->files[i].size_bytes));
    cli_print_json(json_pack(
        "{s:s, s:b, s:i, s:i, s:i, s:s, s:b, s:o, s:o, s:o, s:i, s:I, s:I, s:I, s:I, s:I}", "step",
        s->step == ENX_PROGRAM_COMPILE ? "compile" : "run", "weak", (int)(r->landlock != 0),
        "landlock", r->landlock, "exit_code", r->exit_code, "signal", r->signal, "limit",
        enx_sandbox_limit_text(r->limit), "stopped", (int)r->is_stopped, "stdout",
        cli_json_text(enx_buf_text(&r->out), r->out.size_bytes), "stderr",
        cli_json_text(enx_buf_text(&r->err), r->err.size_bytes), "files", files, "files_left_out",
        (int)r->files_left_out, "wall_us", (json_int_t)r->wall_us, "cpu_user_us",
        (json_int_t)r->cpu_user_us, "cpu_system_us", (json_int_t)r->cpu_system_us,
        "memory_peak_bytes", (json_int_t)r->memory_peak_bytes, "overhead_us",
        (json_int_t)r->overhead_us));
}

static void print_text(const sandbox_state *s)
{
    const enx_sandbox_result *r = &s->result;
    fwrite(enx_buf_text(&r->out), 1, r->out.size_bytes, stdout);
    fflush(stdout);
    fwrite(enx_buf_text(&r->err), 1, r->err.size_bytes, stderr);
    if (r->landlock)
        fprintf(stderr, "enxame sandbox: it ran in the weaker sandbox, confined by Landlock %d\n",
                r->landlock);
    if (s->step == ENX_PROGRAM_COMPILE) fprintf(stderr, "enxame sandbox: it does not compile\n");
    if (r->limit != ENX_SANDBOX_LIMIT_NONE)
        fprintf(stderr, "enxame sandbox: %s the limit of %s\n",
                r->is_stopped ? "stopped at" : "met", enx_sandbox_limit_text(r->limit));
    else if (r->signal) fprintf(stderr, "enxame sandbox: ended by signal %d\n", r->signal);
}

/* The program's own, but for a limit that stopped it. */
static int exit_code_of(const enx_sandbox_result *r)
{
    if (r->is_stopped) return enx_status_exit_code(ENX_LIMIT);
    return r->signal ? 128 + r->signal : r->exit_code;
}

static void close_state(sandbox_state *s)
{
    if (s->has_result) enx_sandbox_result_deinit(&s->result);
    for (size_t i = 0; i < s->file_count; i++) enx_buf_deinit(&s->contents[i]);
    enx_mem_free(s->contents);
    enx_mem_free(s->files);
    enx_buf_deinit(&s->text);
    enx_buf_deinit(&s->input);
    enx_sandbox_close(&s->sandbox);
}

int cmd_sandbox(int argc, char **argv)
{
    sandbox_arguments a = { .cpu_s = 10,
                            .wall_s = 20,
                            .memory_mib = 512,
                            .disk_mib = 128,
                            .file_mib = 64,
                            .output_kib = 1024,
                            .processes = 64,
                            .open_files = 128,
                            .files = 4096 };
    const cli_option  options[] = {
         { "lang", '\0', CLI_TEXT, &a.language, "L",
           "c, python, js, sh, sql or html (by the file's name)" },
         { "input", 'i', CLI_LIST, &a.inputs, "FILE", "put it beside the program; or NAME=FILE" },
         { "stdin", '\0', CLI_TEXT, &a.stdin_path, "FILE", "its standard input (empty); -: ours" },
         { "out", 'o', CLI_TEXT, &a.out_folder, "DIR",
           "write files that it made to this new folder" },
         { "sanitize", '\0', CLI_FLAG, &a.is_sanitized, NULL, "C: AddressSanitizer and UBSan" },
         { "weak", '\0', CLI_FLAG, &a.is_weak, NULL,
           "no namespaces, for hosts that give none: promises less" },
         { "time", '\0', CLI_REAL, &a.wall_s, "S", "seconds (20)" },
         { "cpu", '\0', CLI_REAL, &a.cpu_s, "S", "seconds of processor time (10)" },
         { "memory", '\0', CLI_UINT, &a.memory_mib, "MIB", "(512)" },
         { "processes", '\0', CLI_UINT, &a.processes, "N", "processes and threads at once (64)" },
         { "file-size", '\0', CLI_UINT, &a.file_mib, "MIB", "of one file (64)" },
         { "disk", '\0', CLI_UINT, &a.disk_mib, "MIB", "of all files (128)" },
         { "files", '\0', CLI_UINT, &a.files, "N", "files and folders at once (4096)" },
         { "open-files", '\0', CLI_UINT, &a.open_files, "N", "of one process (128)" },
         { "output", '\0', CLI_UINT, &a.output_kib, "KIB", "of stdout, and of stderr (1024)" },
    };
    const cli_spec spec = { "sandbox FILE [options] [-- ARGUMENT…]",
                            "Run a program that nobody trusts: no network, no files of yours, with "
                            "limits.",
                            "enxame sandbox program.py --time 2 --memory 100 --json",
                            options,
                            sizeof options / sizeof *options,
                            1,
                            ENX_SANDBOX_ARGUMENTS_MAX };
    cli_args       args;
    enx_report     report = { 0 };
    sandbox_state  s = { 0 };
    enx_buf_init(&s.text, CLI_TEXT_BYTES_MAX);
    enx_buf_init(&s.input, CLI_TEXT_BYTES_MAX);
    enx_status status = cli_parse(&spec, &args, argc, argv, &report);
    if (status == ENX_OK && args.is_help) return 0;
    cli_catch_interrupts();
    if (status == ENX_OK) status = run(&s, &a, &args, &report);
    if (s.has_result && args.is_json) print_json(&s);
    else if (s.has_result) print_text(&s);
    const int code =
        status == ENX_OK ? exit_code_of(&s.result) : cli_fail("sandbox", &args, status, &report);
    close_state(&s);
    return code;
}
