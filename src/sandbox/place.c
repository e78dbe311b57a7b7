/* SPDX-License-Identifier: Apache-2.0 */
/* place.c - the folder of a weak run, on the disk: made, measured, removed.
 *
 * The program owns what is in it, so folders may be unreadable and anything may be replaced while
 * it is looked at: all is reached part by part from descriptors, and never through a link.
 */
#include "sandbox/sandbox_impl.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DEPTH_MAX = 64, BLOCK_BYTES = 512 /* of st_blocks */ };

static bool is_dots(const char *name) { return strcmp(name, ".") == 0 || strcmp(name, "..") == 0; }

/* A folder that its owner closed to itself is opened up; by its descriptor, since the name may have
 * become a link in between. */
static DIR *open_folder(int parent, const char *name)
{
    const int   how = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    struct stat facts;
    char        path[64];
    int         fd = openat(parent, name, how);
    const int   itself = fd < 0 ? openat(parent, name, O_PATH | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (itself >= 0 && fstat(itself, &facts) == 0 && S_ISDIR(facts.st_mode)) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", itself);
        if (chmod(path, S_IRWXU) == 0) fd = openat(parent, name, how);
    }
    if (itself >= 0) close(itself);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (fd >= 0 && !folder) close(fd);
    return folder;
}

static int make_folder(int parent, const char *name)
{
    if (mkdirat(parent, name, S_IRWXU) != 0) return -1;
    return geteuid() == 0 ? fchownat(parent, name, SANDBOX_USER_ID, SANDBOX_USER_ID, 0) : 0;
}

enx_status enx_place_open(enx_place *place, enx_report *report)
{
    const char *base = getenv("TMPDIR");
    if (!base || base[0] != '/') base = "/tmp";
    place->fd = -1;
    if (snprintf(place->path, sizeof place->path, "%s/enxame-weak-XXXXXX", base) >=
        (int)sizeof place->path)
        return ENX_FAIL(report, INVALID, "TMPDIR is too long for the folder of a run");
    if (!mkdtemp(place->path)) {
        place->path[0] = '\0';
        return ENX_FAIL(report, IO, "cannot make a folder below %s: %s", base, strerror(errno));
    }
    place->fd = open(place->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const bool is_owned = geteuid() != 0 || (place->fd >= 0 && fchmod(place->fd, 0711) == 0);
    if (place->fd < 0 || !is_owned || make_folder(place->fd, ENX_PLACE_WORK) != 0 ||
        make_folder(place->fd, ENX_PLACE_TMP) != 0)
        return ENX_FAIL(report, IO, "cannot make the folders of a run in %s: %s", place->path,
                        strerror(errno));
    return ENX_OK;
}

static void look_at_folder(int parent, const char *name, int depth, enx_look *out)
{
    DIR *folder = depth < DEPTH_MAX ? open_folder(parent, name) : NULL;
    if (depth == DEPTH_MAX) out->files = UINT32_MAX + (uint64_t)1; /* more than any limit */
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        struct stat facts;
        if (is_dots(entry->d_name) ||
            fstatat(dirfd(folder), entry->d_name, &facts, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        out->files++;
        out->disk_bytes += (uint64_t)facts.st_blocks * BLOCK_BYTES;
        if (S_ISDIR(facts.st_mode)) look_at_folder(dirfd(folder), entry->d_name, depth + 1, out);
    }
    if (folder) closedir(folder);
}

void enx_place_look(const enx_place *place, enx_look *out)
{
    look_at_folder(place->fd, ENX_PLACE_WORK, 0, out);
    look_at_folder(place->fd, ENX_PLACE_TMP, 0, out);
}

/* Empty the folder; folders in it move up to `top` under a number, so that no depth is too great.
 */
static void empty_folder(int top, const char *name, uint64_t *number)
{
    DIR *folder = open_folder(top, name);
    for (struct dirent *entry; folder && (entry = readdir(folder)) != NULL;) {
        const int fd = dirfd(folder);
        char      moved[32];
        if (is_dots(entry->d_name) || unlinkat(fd, entry->d_name, 0) == 0 ||
            unlinkat(fd, entry->d_name, AT_REMOVEDIR) == 0)
            continue;
        DIR *opened = open_folder(fd, entry->d_name); /* closed ones cannot be moved */
        if (opened) closedir(opened);
        snprintf(moved, sizeof moved, "%llu", (unsigned long long)++*number);
        (void)renameat(fd, entry->d_name, top, moved);
    }
    if (folder) closedir(folder);
    (void)unlinkat(top, name, AT_REMOVEDIR);
}

void enx_place_close(enx_place *place)
{
    uint64_t number = 0;
    char     name[32];
    if (place->fd >= 0) {
        empty_folder(place->fd, ENX_PLACE_WORK, &number);
        empty_folder(place->fd, ENX_PLACE_TMP, &number);
        for (uint64_t i = 1; i <= number; i++) {
            snprintf(name, sizeof name, "%llu", (unsigned long long)i);
            empty_folder(place->fd, name, &number);
        }
        close(place->fd);
    }
    if (place->path[0]) rmdir(place->path);
    place->path[0] = '\0';
    place->fd = -1;
}
