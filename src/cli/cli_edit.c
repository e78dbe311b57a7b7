/* SPDX-License-Identifier: Apache-2.0 */
/* cli_edit.c - a tree in memory, its copy in the sandbox, and the way back to the disk. */
#include "cli/cli_edit.h"

#include "base/mem.h"
#include "cli/cli.h"
#include "plat/file.h"
#include "text/patch.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LOG_BYTES_MAX = 3000, DEPTH_MAX = ENX_SANDBOX_DEPTH_MAX };

typedef struct tree_file {
    char    name[ENX_PATCH_NAME_MAX];
    enx_buf text;
    mode_t  mode;
} tree_file;

struct cli_edit {
    const char *folder, *command; /* borrowed */
    tree_file  *files;            /* owned, [CLI_EDIT_FILES_MAX], by name */
    size_t      file_count, size_bytes;
};

/* ---- Reading -------------------------------------------------------------------------------- */

static enx_status path_of(char out[CLI_PATH_BYTES_MAX], const cli_edit *e, const char *name,
                          enx_report *report)
{
    if (snprintf(out, CLI_PATH_BYTES_MAX, "%s/%s", e->folder, name) >= CLI_PATH_BYTES_MAX)
        return ENX_FAIL(report, LIMIT, "the path of %s is too long", name);
    return ENX_OK;
}

static enx_status read_file(cli_edit *e, const char *path, const char *name, mode_t mode,
                            enx_report *report)
{
    if (e->file_count == CLI_EDIT_FILES_MAX)
        return ENX_FAIL(report, LIMIT, "%s has more than %d files", e->folder, CLI_EDIT_FILES_MAX);
    tree_file *f = &e->files[e->file_count++];
    snprintf(f->name, sizeof f->name, "%s", name);
    f->mode = mode;
    enx_buf_init(&f->text, CLI_EDIT_BYTES_MAX - e->size_bytes);
    const enx_status status = enx_file_read(&f->text, path, report);
    e->size_bytes += f->text.size_bytes;
    if (status == ENX_LIMIT)
        return ENX_FAIL(report, LIMIT, "%s has more than %d MiB of files", e->folder,
                        CLI_EDIT_BYTES_MAX >> 20);
    return status;
}

static enx_status read_folder(cli_edit *e, const char *within, int depth, enx_report *report);

static enx_status read_entry(cli_edit *e, const char *within, const char *entry, int depth,
                             enx_report *report)
{
    char        name[ENX_PATCH_NAME_MAX], path[CLI_PATH_BYTES_MAX];
    struct stat facts;
    if (strcmp(entry, ".") == 0 || strcmp(entry, "..") == 0 || strcmp(entry, ".git") == 0)
        return ENX_OK;
    if (snprintf(name, sizeof name, "%s%s%s", within, within[0] ? "/" : "", entry) >=
        (int)sizeof name)
        return ENX_FAIL(report, LIMIT, "%s: a name longer than %d bytes", e->folder,
                        ENX_PATCH_NAME_MAX - 1);
    ENX_TRY(path_of(path, e, name, report));
    if (lstat(path, &facts) != 0) return ENX_FAIL(report, IO, "%s: %s", path, strerror(errno));
    if (S_ISDIR(facts.st_mode)) return read_folder(e, name, depth + 1, report);
    return S_ISREG(facts.st_mode) ? read_file(e, path, name, facts.st_mode, report) : ENX_OK;
}

static enx_status read_folder(cli_edit *e, const char *within, int depth, enx_report *report)
{
    char       path[CLI_PATH_BYTES_MAX];
    enx_status status = ENX_OK;
    if (depth > DEPTH_MAX)
        return ENX_FAIL(report, LIMIT, "%s is more than %d folders deep", e->folder, DEPTH_MAX);
    ENX_TRY(path_of(path, e, within, report));
    DIR *folder = opendir(path);
    if (!folder)
        return enx_report_set(report, errno == ENOENT ? ENX_NOTFOUND : ENX_IO, __FILE__, __LINE__,
                              "%s: %s", path, strerror(errno));
    for (struct dirent *entry; status == ENX_OK && (entry = readdir(folder)) != NULL;)
        status = read_entry(e, within, entry->d_name, depth, report);
    closedir(folder);
    return status;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(((const tree_file *)a)->name, ((const tree_file *)b)->name);
}

enx_status cli_edit_open(cli_edit **out, const char *folder, const char *command,
                         enx_report *report)
{
    cli_edit *e = ENX_MEM_NEW(cli_edit, 1);
    if (e) {
        *e = (cli_edit){ .folder = folder, .command = command };
        e->files = ENX_MEM_NEW(tree_file, CLI_EDIT_FILES_MAX);
    }
    enx_status status =
        e && e->files ? ENX_OK : ENX_FAIL(report, NOMEM, "no memory for the tree %s", folder);
    if (status == ENX_OK) status = read_folder(e, "", 0, report);
    if (status == ENX_OK) {
        qsort(e->files, e->file_count, sizeof *e->files, by_name);
        *out = e;
    } else cli_edit_close(&e);
    return status;
}

void cli_edit_close(cli_edit **edit)
{
    cli_edit *e = *edit;
    if (!e) return;
    for (size_t i = 0; i < e->file_count; i++) enx_buf_deinit(&e->files[i].text);
    enx_mem_free(e->files);
    enx_mem_free(e);
    *edit = NULL;
}

size_t cli_edit_file_count(const cli_edit *e) { return e->file_count; }

static const tree_file *find_file(const cli_edit *e, const char *name)
{
    for (size_t i = 0; i < e->file_count; i++)
        if (strcmp(e->files[i].name, name) == 0) return &e->files[i];
    return NULL;
}

/* ---- Asking --------------------------------------------------------------------------------- */

static bool is_text(const tree_file *f)
{
    return f->text.size_bytes == 0 || !memchr(f->text.data, '\0', f->text.size_bytes);
}

/* The next to show: named by `what`, then the shortest; NULL: no other has room. */
static const tree_file *next_shown(const cli_edit *e, const bool *is_shown, const char *what,
                                   size_t room)
{
    const tree_file *best = NULL;
    bool             is_best_named = false;
    for (size_t i = 0; i < e->file_count; i++) {
        const tree_file *f = &e->files[i];
        if (is_shown[i] || !is_text(f) || f->text.size_bytes > room) continue;
        const char *base = strrchr(f->name, '/');
        const bool  is_named = strstr(what, base ? base + 1 : f->name) != NULL;
        if (best && (is_named < is_best_named ||
                     (is_named == is_best_named && f->text.size_bytes >= best->text.size_bytes)))
            continue;
        best = f;
        is_best_named = is_named;
    }
    return best;
}

static enx_status show_files(enx_buf *out, const cli_edit *e, const char *what)
{
    bool   is_shown[CLI_EDIT_FILES_MAX] = { false };
    size_t room = CLI_EDIT_SHOWN_BYTES_MAX;
    for (const tree_file *f; (f = next_shown(e, is_shown, what, room)) != NULL;) {
        is_shown[f - e->files] = true;
        room -= f->text.size_bytes;
        ENX_TRY(enx_buf_printf(out, "\n%s:\n```\n", f->name));
        ENX_TRY(enx_buf_append(out, enx_buf_text(&f->text), f->text.size_bytes));
        ENX_TRY(enx_buf_append_text(out, "```\n"));
    }
    return ENX_OK;
}

enx_status cli_edit_ask(enx_buf *out, const cli_edit *e, const char *what)
{
    ENX_TRY(enx_buf_printf(out,
                           "Change the files below: %s\n\nThen this must succeed: %s\n\n"
                           "Files:\n",
                           what, e->command));
    for (size_t i = 0; i < e->file_count; i++)
        ENX_TRY(enx_buf_printf(out, "%s\n", e->files[i].name));
    ENX_TRY(show_files(out, e, what));
    return enx_buf_append_text(out,
                               "\nAnswer with a unified diff in one block (--- a/FILE, +++ b/FILE, "
                               "@@), and nothing else.\n");
}

/* ---- Patching ------------------------------------------------------------------------------- */

/* A file as the patch makes it. */
typedef struct changed {
    enx_patch_file   what;
    const tree_file *old; /* NULL: new */
    enx_buf          text;
} changed;

typedef struct changes {
    enx_patch *patch;
    changed    items[ENX_PATCH_FILES_MAX];
    size_t     count;
} changes;

static void close_changes(changes *c)
{
    for (size_t i = 0; i < c->count; i++) enx_buf_deinit(&c->items[i].text);
    enx_patch_close(&c->patch);
}

static enx_status change_file(changes *c, const cli_edit *e, size_t index, enx_report *report)
{
    changed *to = &c->items[c->count++];
    *to = (changed){ .what = enx_patch_file_get(c->patch, index) };
    to->old = find_file(e, to->what.name);
    enx_buf_init(&to->text, CLI_EDIT_BYTES_MAX);
    if (to->what.is_new && to->old)
        return ENX_FAIL(report, INVALID, "the patch makes %s, which is there", to->what.name);
    if (!to->what.is_new && !to->old)
        return ENX_FAIL(report, INVALID, "the patch changes %s, and there is no such file",
                        to->what.name);
    const char      *old = to->old ? enx_buf_text(&to->old->text) : "";
    const size_t     size = to->old ? to->old->text.size_bytes : 0;
    const enx_status status = enx_patch_apply(c->patch, index, old, size, &to->text, report);
    if (status != ENX_OK) enx_report_wrap(report, "%s", to->what.name);
    return status;
}

/* All files that the patch changes; to be closed also when this fails. */
static enx_status apply_patch(changes *c, const cli_edit *e, const char *patch, enx_report *report)
{
    *c = (changes){ .count = 0 };
    ENX_TRY(enx_patch_open(&c->patch, patch, strlen(patch), report));
    for (size_t i = 0; i < enx_patch_file_count(c->patch); i++)
        ENX_TRY(change_file(c, e, i, report));
    return ENX_OK;
}

static const changed *find_change(const changes *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->items[i].what.name, name) == 0) return &c->items[i];
    return NULL;
}

static enx_sandbox_file sandbox_file(const char *name, const enx_buf *text, mode_t mode)
{
    return (enx_sandbox_file){ .name = name,
                               .bytes = enx_buf_text(text),
                               .size_bytes = text->size_bytes,
                               .is_executable = (mode & S_IXUSR) != 0 };
}

/* The tree with the changes; returns how many files. */
static size_t list_copy(enx_sandbox_file *out, const cli_edit *e, const changes *c)
{
    size_t count = 0;
    for (size_t i = 0; i < e->file_count; i++) {
        const tree_file *f = &e->files[i];
        const changed   *to = find_change(c, f->name);
        if (to && to->what.is_removed) continue;
        out[count++] = sandbox_file(f->name, to ? &to->text : &f->text, f->mode);
    }
    for (size_t i = 0; i < c->count; i++)
        if (!c->items[i].old)
            out[count++] = sandbox_file(c->items[i].what.name, &c->items[i].text, 0);
    return count;
}

static enx_status append_end(enx_buf *log, const char *text, size_t size_bytes)
{
    const size_t skipped = size_bytes > LOG_BYTES_MAX ? size_bytes - LOG_BYTES_MAX : 0;
    return enx_buf_append(log, text + skipped, size_bytes - skipped);
}

static enx_status write_log(enx_buf *log, const enx_sandbox_result *r)
{
    if (r->is_stopped)
        ENX_TRY(
            enx_buf_printf(log, "stopped, at the limit of %s\n", enx_sandbox_limit_text(r->limit)));
    else if (r->signal) ENX_TRY(enx_buf_printf(log, "ended by signal %d\n", r->signal));
    else if (r->exit_code) ENX_TRY(enx_buf_printf(log, "exit code %d\n", r->exit_code));
    else ENX_TRY(enx_buf_append_text(log, "passed\n"));
    ENX_TRY(append_end(log, enx_buf_text(&r->out), r->out.size_bytes));
    return append_end(log, enx_buf_text(&r->err), r->err.size_bytes);
}

static enx_status run_command(const enx_sandbox *sandbox, const cli_edit *e, const changes *c,
                              const cli_edit_run *run, bool *has_passed, enx_buf *log,
                              enx_report *report)
{
    const char *const  argv[] = { "/bin/sh", "-c", e->command, NULL };
    enx_sandbox_file  *files = ENX_MEM_NEW(enx_sandbox_file, e->file_count + c->count + 1);
    enx_sandbox_result result;
    if (!files) return ENX_FAIL(report, NOMEM, "no memory for the files of %s", e->folder);
    const enx_sandbox_task task = { .argv = argv,
                                    .files = files,
                                    .file_count = list_copy(files, e, c),
                                    .limits = run->limits,
                                    .is_sparse_address = true, /* whatever tools it runs */
                                    .should_stop = run->should_stop,
                                    .user = run->user };
    enx_status             status = enx_sandbox_run(sandbox, &task, &result, report);
    enx_mem_free(files);
    if (status != ENX_OK) return status;
    *has_passed = result.exit_code == 0 && !result.is_stopped;
    if (write_log(log, &result) != ENX_OK)
        status = ENX_FAIL(report, NOMEM, "no memory for the log");
    enx_sandbox_result_deinit(&result);
    return status;
}

enx_status cli_edit_judge(const enx_sandbox *sandbox, const cli_edit *e, const char *patch,
                          const cli_edit_run *run, bool *has_passed, enx_buf *log,
                          enx_report *report)
{
    changes    c;
    enx_report refusal = { 0 };
    *has_passed = false;
    enx_status status = apply_patch(&c, e, patch, &refusal);
    if (status == ENX_OK) status = run_command(sandbox, e, &c, run, has_passed, log, report);
    else if (status == ENX_NOMEM) *report = refusal;
    else
        status = enx_buf_printf(log, "the patch cannot be used\n%s\n", refusal.text) == ENX_OK
                     ? ENX_OK
                     : ENX_FAIL(report, NOMEM, "no memory for the log");
    close_changes(&c);
    return status;
}

/* ---- Writing -------------------------------------------------------------------------------- */

/* Is a folder of the path, below ours, a link?  What is behind it is not in the tree. */
static bool has_link(const cli_edit *e, const char *path)
{
    char        part[CLI_PATH_BYTES_MAX];
    struct stat facts;
    for (const char *at = path + strlen(e->folder); (at = strchr(at + 1, '/')) != NULL;) {
        snprintf(part, sizeof part, "%.*s", (int)(at - path), path);
        if (lstat(part, &facts) == 0 && S_ISLNK(facts.st_mode)) return true;
    }
    return false;
}

static enx_status check_unchanged(const cli_edit *e, const changed *to, enx_report *report)
{
    char    path[CLI_PATH_BYTES_MAX];
    enx_buf now;
    ENX_TRY(path_of(path, e, to->what.name, report));
    if (has_link(e, path))
        return ENX_FAIL(report, INVALID, "%s leads through a link; nothing is written", path);
    if (!to->old)
        return access(path, F_OK) == 0
                   ? ENX_FAIL(report, AGAIN, "%s was made meanwhile; nothing is written", path)
                   : ENX_OK;
    enx_buf_init(&now, CLI_EDIT_BYTES_MAX);
    enx_status status = enx_file_read(&now, path, report);
    if (status == ENX_OK &&
        (now.size_bytes != to->old->text.size_bytes ||
         memcmp(enx_buf_text(&now), enx_buf_text(&to->old->text), now.size_bytes) != 0))
        status = ENX_FAIL(report, AGAIN, "%s was changed meanwhile; nothing is written", path);
    enx_buf_deinit(&now);
    return status;
}

static enx_status put(const cli_edit *e, const char *name, const enx_buf *text, mode_t mode,
                      enx_report *report)
{
    char path[CLI_PATH_BYTES_MAX];
    ENX_TRY(path_of(path, e, name, report));
    char *slash = strrchr(path, '/');
    *slash = '\0';
    ENX_TRY(enx_dir_make(path, report));
    *slash = '/';
    ENX_TRY(enx_file_write(path, enx_buf_text(text), text->size_bytes, report));
    if (mode && chmod(path, mode & 07777) != 0)
        return ENX_FAIL(report, IO, "%s: %s", path, strerror(errno));
    return ENX_OK;
}

static enx_status take_away(const cli_edit *e, const char *name, enx_report *report)
{
    char path[CLI_PATH_BYTES_MAX];
    ENX_TRY(path_of(path, e, name, report));
    return unlink(path) == 0 ? ENX_OK : ENX_FAIL(report, IO, "%s: %s", path, strerror(errno));
}

static enx_status write_change(const cli_edit *e, const changed *to, enx_report *report)
{
    if (to->what.is_removed) return take_away(e, to->what.name, report);
    return put(e, to->what.name, &to->text, to->old ? to->old->mode : 0, report);
}

/* As it was, if the disk allows. */
static bool write_back(const cli_edit *e, const changed *to)
{
    if (to->old) return put(e, to->what.name, &to->old->text, to->old->mode, NULL) == ENX_OK;
    return take_away(e, to->what.name, NULL) == ENX_OK;
}

enx_status cli_edit_write(const cli_edit *e, const char *patch, enx_report *report)
{
    changes    c;
    enx_status status = apply_patch(&c, e, patch, report);
    for (size_t i = 0; status == ENX_OK && i < c.count; i++)
        status = check_unchanged(e, &c.items[i], report);
    for (size_t i = 0; status == ENX_OK && i < c.count; i++) {
        status = write_change(e, &c.items[i], report);
        for (size_t k = i + 1; status != ENX_OK && k-- > 0;) (void)write_back(e, &c.items[k]);
    }
    close_changes(&c);
    return status;
}
