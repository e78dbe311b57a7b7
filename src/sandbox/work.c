/* SPDX-License-Identifier: Apache-2.0 */
/* work.c - files into /work before a run, and out of it when no process is left to change them.
 *
 * All is reached from the descriptor of the folder, part by part and never through a link, so no
 * name leads outside.  Only regular files are opened: a pipe or device would wait or act.
 */
#include "sandbox/sandbox_impl.h"

#include "base/check.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PART_MAX = 255, ENTRIES_A_FILE_MAX = 64 };

/* ---- Names ---------------------------------------------------------------------------------- */

static bool is_good_name(const char *name)
{
    int depth = 0;
    if (strlen(name) > ENX_SANDBOX_NAME_MAX) return false;
    for (const char *part = name;; depth++) {
        const size_t size = strcspn(part, "/");
        if (size == 0 || size > PART_MAX || depth > ENX_SANDBOX_DEPTH_MAX) return false;
        if (part[0] == '.' && (size == 1 || (size == 2 && part[1] == '.'))) return false;
        if (!part[size]) return true;
        part += size + 1;
    }
}

enx_status enx_work_check(const enx_sandbox_file *files, size_t count, enx_report *report)
{
    if (count > ENX_SANDBOX_FILES_MAX)
        return ENX_FAIL(report, INVALID, "%zu files for the sandbox; at most %d", count,
                        ENX_SANDBOX_FILES_MAX);
    for (size_t i = 0; i < count; i++)
        if (!files[i].name || !is_good_name(files[i].name))
            return ENX_FAIL(report, INVALID,
                            "file %zu for the sandbox has a name that cannot be: up to %d bytes, "
                            "%d folders deep, relative, without . and ..",
                            i + 1, ENX_SANDBOX_NAME_MAX, ENX_SANDBOX_DEPTH_MAX);
    return ENX_OK;
}

/* ---- In ------------------------------------------------------------------------------------- */

/* The folder belongs to a user namespace in which root has no place: write as its owner does.  Of
 * the calling thread only. */
static void set_file_user(uid_t user, gid_t group)
{
    if (geteuid() != 0) return;
    syscall(SYS_setfsgid, group);
    syscall(SYS_setfsuid, user);
}

/* The folder in which `*name` lies, made where it is missing; *name becomes its last part. */
static int open_parent(int folder, const char **name)
{
    int fd = dup(folder);
    for (const char *slash; fd >= 0 && (slash = strchr(*name, '/')) != NULL; *name = slash + 1) {
        char part[PART_MAX + 1];
        snprintf(part, sizeof part, "%.*s", (int)(slash - *name), *name);
        const int next = mkdirat(fd, part, 0755) == 0 || errno == EEXIST
                             ? openat(fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                             : -1;
        const int error = errno;
        close(fd);
        errno = error;
        fd = next;
    }
    return fd;
}

static int write_file(int folder, const enx_sandbox_file *file)
{
    const char *name = file->name, *bytes = file->bytes;
    const int   parent = open_parent(folder, &name);
    if (parent < 0) return -1;
    int       error = 0;
    const int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                          file->is_executable ? 0755 : 0644);
    if (fd < 0) error = errno;
    for (size_t at = 0; !error && at < file->size_bytes;) {
        const ssize_t size = write(fd, bytes + at, file->size_bytes - at);
        if (size < 0 && errno != EINTR) error = errno;
        else if (size > 0) at += (size_t)size;
    }
    if (fd >= 0) close(fd);
    close(parent);
    errno = error;
    return error ? -1 : 0;
}

enx_status enx_work_fill(int folder, const enx_sandbox_file *files, size_t count,
                         enx_report *report)
{
    enx_status status = ENX_OK;
    set_file_user(SANDBOX_USER_ID, SANDBOX_USER_ID);
    for (size_t i = 0; i < count && status == ENX_OK; i++)
        if (write_file(folder, &files[i]) != 0)
            status = errno == ENOSPC || errno == EDQUOT
                         ? ENX_FAIL(report, LIMIT, "the files do not fit the sandbox's disk limit")
                         : ENX_FAIL(report, INVALID, "cannot put file %zu into the sandbox: %s",
                                    i + 1, strerror(errno));
    set_file_user(geteuid(), getegid());
    return status;
}

/* ---- Out ------------------------------------------------------------------------------------ */

typedef struct collection {
    const enx_sandbox_task *task;
    enx_sandbox_result     *out;
    enx_report             *report;
    size_t                  capacity;
    uint64_t                bytes_left, entries_left;
    bool                    is_at_limit;
    char                    name[ENX_SANDBOX_NAME_MAX + 1];
} collection;

static const enx_sandbox_file *find_input(const enx_sandbox_task *task, const char *name)
{
    for (size_t i = 0; i < task->file_count; i++)
        if (strcmp(task->files[i].name, name) == 0) return &task->files[i];
    return NULL;
}

static bool read_whole(int fd, char *bytes, size_t size)
{
    for (size_t at = 0; at < size;) {
        const ssize_t got = pread(fd, bytes + at, size - at, (off_t)at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += (size_t)got;
    }
    return true;
}

static enx_status keep_file(collection *c, int fd, const struct stat *facts)
{
    const size_t            size = (size_t)facts->st_size, name_size = strlen(c->name);
    const enx_sandbox_file *input = find_input(c->task, c->name);
    enx_sandbox_result     *out = c->out;
    char                   *block = enx_mem_new(name_size + 1 + size + 1, 1);
    if (!block) return ENX_FAIL(c->report, NOMEM, "no memory for a file of %zu bytes", size);
    memcpy(block, c->name, name_size + 1);
    char *bytes = block + name_size + 1; /* the name's block holds the bytes, too */
    if (!read_whole(fd, bytes, size)) {
        out->files_left_out++;
        enx_mem_free(block);
        return ENX_OK;
    }
    if (input && input->size_bytes == size && (!size || memcmp(input->bytes, bytes, size) == 0)) {
        enx_mem_free(block);
        return ENX_OK;
    }
    if (out->file_count == c->capacity) {
        const size_t      more = c->capacity ? 2 * c->capacity : 8;
        enx_sandbox_file *files =
            enx_mem_resize(out->files, c->capacity * sizeof *files, more * sizeof *files);
        if (!files) {
            enx_mem_free(block);
            return ENX_FAIL(c->report, NOMEM, "no memory for the list of files");
        }
        out->files = files;
        c->capacity = more;
    }
    out->files[out->file_count++] =
        (enx_sandbox_file){ .name = block,
                            .bytes = bytes,
                            .size_bytes = size,
                            .is_executable = (facts->st_mode & S_IXUSR) != 0 };
    c->bytes_left -= size;
    return ENX_OK;
}

static enx_status collect_file(collection *c, int folder, const char *name)
{
    struct stat facts;
    enx_status  status = ENX_OK;
    const int   fd = openat(folder, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &facts) != 0 || !S_ISREG(facts.st_mode)) c->out->files_left_out++;
    else {
        if ((uint64_t)facts.st_size >= c->task->limits.file_bytes) c->is_at_limit = true;
        if (!c->task->is_collecting) goto done;
        if (c->out->file_count == ENX_SANDBOX_FILES_MAX || (uint64_t)facts.st_size > c->bytes_left)
            c->out->files_left_out++;
        else status = keep_file(c, fd, &facts);
    }
done:
    if (fd >= 0) close(fd);
    return status;
}

static enx_status collect_folder(collection *c, int fd, int depth);

static enx_status collect_entry(collection *c, int folder, const char *name, int depth)
{
    struct stat  facts;
    const size_t at = strlen(c->name), size = strlen(name);
    enx_status   status = ENX_OK;
    if (at + size + 1 > ENX_SANDBOX_NAME_MAX || c->entries_left == 0 ||
        fstatat(folder, name, &facts, AT_SYMLINK_NOFOLLOW) != 0) {
        c->out->files_left_out++;
        return ENX_OK;
    }
    c->entries_left--;
    snprintf(c->name + at, sizeof c->name - at, "%s%s", at ? "/" : "", name);
    if (S_ISREG(facts.st_mode)) status = collect_file(c, folder, name);
    else if (S_ISDIR(facts.st_mode) && depth < ENX_SANDBOX_DEPTH_MAX) {
        const int fd = openat(folder, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0) status = collect_folder(c, fd, depth + 1);
        else c->out->files_left_out++;
    } else c->out->files_left_out++;
    c->name[at] = '\0';
    return status;
}

/* Takes `fd`. */
static enx_status collect_folder(collection *c, int fd, int depth)
{
    enx_status status = ENX_OK;
    DIR       *folder = fdopendir(fd);
    if (!folder) {
        close(fd);
        return ENX_FAIL(c->report, NOMEM, "no memory to list a folder");
    }
    for (struct dirent *entry; status == ENX_OK && (entry = readdir(folder)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        if (c->entries_left == 0) {
            c->out->files_left_out++;
            break;
        }
        status = collect_entry(c, fd, entry->d_name, depth);
    }
    closedir(folder);
    return status;
}

static int compare_names(const void *a, const void *b)
{
    const enx_sandbox_file *first = a, *second = b;
    return strcmp(first->name, second->name);
}

enx_status enx_work_collect(int folder, const enx_sandbox_task *task, enx_sandbox_result *out,
                            bool *is_at_limit, enx_report *report)
{
    collection c = { .task = task,
                     .out = out,
                     .report = report,
                     .bytes_left = task->limits.out_bytes,
                     .entries_left = (uint64_t)ENTRIES_A_FILE_MAX * ENX_SANDBOX_FILES_MAX };
    const int  fd = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return ENX_FAIL(report, IO, "cannot read the sandbox's files: %s", strerror(errno));
    const enx_status status = collect_folder(&c, fd, 0);
    if (out->file_count) qsort(out->files, out->file_count, sizeof *out->files, compare_names);
    if (!task->is_collecting) out->files_left_out = 0;
    *is_at_limit = c.is_at_limit;
    return status;
}
