/* SPDX-License-Identifier: Apache-2.0 */
/* file.c - files by POSIX calls. */
#include "plat/file.h"

#include "base/check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    READ_CHUNK_BYTES = 1 << 15,
    WRITE_CHUNK_BYTES = 1 << 30, /* Linux writes at most 2 GiB a call */
    LOCK_TRIES_MAX = 1000,       /* each waits for a whole write of another */
};

static enx_status fail_errno(enx_report *report, const char *verb, const char *path)
{
    const int error = errno;
    if (error == ENOENT) return ENX_FAIL(report, NOTFOUND, "%s: no such file", path);
    return ENX_FAIL(report, IO, "cannot %s %s: %s", verb, path, strerror(error));
}

/* ENOENT while writing means a missing folder, which is no ENX_NOTFOUND for the caller. */
static enx_status fail_write(enx_report *report, const char *verb, const char *path)
{
    const int error = errno;
    return ENX_FAIL(report, IO, "cannot %s %s: %s", verb, path, strerror(error));
}

enx_status enx_file_map(enx_file *out, const char *path, enx_report *report)
{
    ENX_CHECK(out && path);
    enx_status  status = ENX_OK;
    struct stat facts;
    void       *bytes = NULL;
    /* Not blocking, so that a named pipe is refused below instead of waited for. */
    const int   fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return fail_errno(report, "open", path);
    if (fstat(fd, &facts) != 0) {
        status = fail_errno(report, "examine", path);
        goto done;
    }
    if (!S_ISREG(facts.st_mode)) {
        status = ENX_FAIL(report, IO, "%s is %s; a regular file is needed", path,
                          S_ISDIR(facts.st_mode) ? "a folder" : "a device or pipe");
        goto done;
    }
    if (facts.st_size > 0) {
        bytes = mmap(NULL, (size_t)facts.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (bytes == MAP_FAILED) {
            status = fail_errno(report, "map", path);
            goto done;
        }
    }
    *out = (enx_file){ .bytes = bytes, .size_bytes = (size_t)facts.st_size };
done:
    close(fd); /* the mapping lives on */
    return status;
}

/* The kernel's calls take what is only read, too. */
static void *system_pointer(const void *borrowed)
{
    union {
        const void *borrowed;
        void       *plain;
    } view = { .borrowed = borrowed };
    return view.plain;
}

void enx_file_unmap(enx_file *file)
{
    if (file->bytes) ENX_CHECK(munmap(system_pointer(file->bytes), file->size_bytes) == 0);
    *file = (enx_file){ 0 };
}

void enx_file_forget(const enx_file *file, const void *from, size_t size_bytes)
{
    const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), start = (uintptr_t)file->bytes;
    const uintptr_t first = (uintptr_t)from, last = first + size_bytes;
    if (first < start || last > start + file->size_bytes) return;
    const uintptr_t begin = (first + page - 1) / page * page, end = last / page * page;
    if (begin < end)
        (void)madvise(system_pointer((const uint8_t *)from + (begin - first)), end - begin,
                      MADV_DONTNEED);
}

static enx_status read_all(enx_buf *buf, int fd, const char *name, enx_report *report)
{
    char chunk[READ_CHUNK_BYTES];
    for (;;) {
        const ssize_t size = read(fd, chunk, sizeof chunk);
        if (size == 0) return ENX_OK;
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return fail_errno(report, "read", name);
        const enx_status status = enx_buf_append(buf, chunk, (size_t)size);
        if (status == ENX_LIMIT)
            return ENX_FAIL(report, LIMIT, "%s is longer than the limit of %zu bytes", name,
                            buf->max_bytes);
        if (status != ENX_OK)
            return ENX_FAIL(report, NOMEM, "no memory to read %s (%zu bytes so far)", name,
                            buf->size_bytes);
    }
}

enx_status enx_file_read(enx_buf *buf, const char *path, enx_report *report)
{
    ENX_CHECK(buf && path);
    const size_t before = buf->size_bytes;
    const bool   is_stdin = strcmp(path, "-") == 0;
    const int    fd = is_stdin ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail_errno(report, "open", path);
    const enx_status status = read_all(buf, fd, is_stdin ? "standard input" : path, report);
    if (!is_stdin) close(fd);
    if (status != ENX_OK && buf->data) {
        buf->size_bytes = before;
        buf->data[before] = '\0';
    }
    return status;
}

static int write_all(int fd, const void *bytes, size_t size_bytes)
{
    const char *at = bytes;
    while (size_bytes > 0) {
        const size_t  wish = size_bytes < WRITE_CHUNK_BYTES ? size_bytes : WRITE_CHUNK_BYTES;
        const ssize_t size = write(fd, at, wish);
        if (size < 0 && errno == EINTR) continue;
        if (size < 0) return -1;
        at += size;
        size_bytes -= (size_t)size;
    }
    return 0;
}

/* Devices and pipes (/dev/null, /dev/stdout) are written to; replacing them would be a disaster. */
static enx_status write_through(const char *path, const void *bytes, size_t size_bytes,
                                enx_report *report)
{
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0) return fail_write(report, "open", path);
    enx_status status = ENX_OK;
    if (write_all(fd, bytes, size_bytes) != 0) status = fail_write(report, "write", path);
    if (close(fd) != 0 && status == ENX_OK) status = fail_write(report, "close", path);
    return status;
}

/* Open `temporary` empty and locked.  The lock keeps two writers of one path from renaming each
 * other's half; a file left by a crash carries no lock and is used again.  -1 with errno. */
static int open_locked(const char *temporary, mode_t mode)
{
    for (int tries = 0; tries < LOCK_TRIES_MAX; tries++) {
        struct stat mine, named;
        const int   fd = open(temporary, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, mode);
        if (fd < 0) return -1;
        if (flock(fd, LOCK_EX) != 0 || fstat(fd, &mine) != 0) {
            const int error = errno;
            close(fd);
            errno = error;
            return -1;
        }
        /* While we waited, the one before us may have renamed the file away. */
        if (stat(temporary, &named) == 0 && named.st_ino == mine.st_ino &&
            named.st_dev == mine.st_dev && ftruncate(fd, 0) == 0)
            return fd;
        close(fd);
    }
    errno = EAGAIN;
    return -1;
}

/* Make the rename itself durable; file systems that cannot sync a folder are left alone. */
static void sync_folder(const char *path)
{
    char        folder[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash) snprintf(folder, sizeof folder, ".");
    else snprintf(folder, sizeof folder, "%.*s", slash == path ? 1 : (int)(slash - path), path);
    const int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return;
    (void)fsync(fd);
    close(fd);
}

static enx_status replace_file(const char *path, mode_t mode, bool keep_mode, const void *bytes,
                               size_t size_bytes, enx_report *report)
{
    char temporary[PATH_MAX];
    if (snprintf(temporary, sizeof temporary, "%s.tmp", path) >= (int)sizeof temporary) {
        errno = ENAMETOOLONG;
        return fail_write(report, "write", path);
    }
    const int fd = open_locked(temporary, mode);
    if (fd < 0) return fail_write(report, "create", temporary);
    enx_status status = ENX_OK;
    if (write_all(fd, bytes, size_bytes) != 0 || (keep_mode && fchmod(fd, mode) != 0) ||
        fsync(fd) != 0)
        status = fail_write(report, "write", path);
    else if (rename(temporary, path) != 0) status = fail_write(report, "replace", path);
    else sync_folder(path);
    if (status != ENX_OK) unlink(temporary);
    close(fd); /* after the rename, for the lock's sake; fsync has reported what close could */
    return status;
}

enx_status enx_file_write(const char *path, const void *bytes, size_t size_bytes,
                          enx_report *report)
{
    ENX_CHECK(path && (bytes || size_bytes == 0));
    struct stat facts;
    char        real[PATH_MAX];
    if (stat(path, &facts) != 0) {
        if (errno != ENOENT) return fail_write(report, "write", path);
        return replace_file(path, 0666, false, bytes, size_bytes, report);
    }
    if (S_ISDIR(facts.st_mode))
        return ENX_FAIL(report, IO, "cannot write %s: it is a folder", path);
    if (!S_ISREG(facts.st_mode)) return write_through(path, bytes, size_bytes, report);
    if (!realpath(path, real))
        return fail_write(report, "resolve", path); /* keeps symbolic links */
    return replace_file(real, facts.st_mode & 0777, true, bytes, size_bytes, report);
}

static bool is_folder(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0 && S_ISDIR(facts.st_mode);
}

enx_status enx_dir_make(const char *path, enx_report *report)
{
    ENX_CHECK(path);
    char         part[PATH_MAX];
    const size_t size = strlen(path);
    if (size == 0 || size >= sizeof part)
        return ENX_FAIL(report, IO, "cannot make a folder: its path has %zu bytes, 1 to %zu work",
                        size, sizeof part - 1);
    memcpy(part, path, size + 1);
    for (size_t at = 1; at <= size; at++) {
        if (part[at] != '/' && part[at] != '\0') continue;
        part[at] = '\0';
        const int error = mkdir(part, 0777) == 0 ? 0 : errno;
        if (error && !is_folder(part)) {
            errno = error;
            if (error == EEXIST)
                return ENX_FAIL(report, IO, "cannot make folder %s: %s is a file", path, part);
            return fail_write(report, "make folder", part);
        }
        part[at] = path[at];
    }
    return ENX_OK;
}

bool enx_file_exists(const char *path)
{
    struct stat facts;
    return stat(path, &facts) == 0;
}
