/* SPDX-License-Identifier: Apache-2.0 */
/* confine.c - the rules, for process 1 of a run; plain system calls, since libc has no others. */
#include "sandbox/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ACCESS_TRUNCATE ((uint64_t)1 << 14)
#define SCOPE_ALL       ((uint64_t)3) /* abstract sockets and signals */
#define ACCESS_FIRST    (((uint64_t)1 << 13) - 1)
#define ACCESS_READ                                                         \
    ((uint64_t)(LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | \
                LANDLOCK_ACCESS_FS_READ_DIR))
#define ACCESS_OF_FILES                                                                          \
    (LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | \
     ACCESS_TRUNCATE)

/* As the kernel's struct landlock_ruleset_attr is today; older ones take it while what they do not
 * know is 0. */
typedef struct ruleset {
    uint64_t files, network, scopes;
} ruleset;

int enx_confine_abi(void)
{
    const long abi =
        syscall(SYS_landlock_create_ruleset, NULL, (size_t)0, LANDLOCK_CREATE_RULESET_VERSION);
    return abi > 0 ? (int)abi : 0;
}

/* Nothing is at `path`: nothing to allow. */
static int allow(int rules, const char *path, uint64_t access)
{
    struct landlock_path_beneath_attr rule = { .allowed_access = access };
    struct stat                       facts;
    rule.parent_fd = open(path, O_PATH | O_CLOEXEC);
    if (rule.parent_fd < 0) return errno == ENOENT ? 0 : -1;
    if (fstat(rule.parent_fd, &facts) == 0 && !S_ISDIR(facts.st_mode))
        rule.allowed_access &= ACCESS_OF_FILES;
    const long error = syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
    close(rule.parent_fd);
    return error ? -1 : 0;
}

int enx_confine(int abi, const char *work, const char *tmp)
{
    static const char *const readable[] = {
        "/usr",
        "/bin",
        "/sbin",
        "/lib",
        "/lib32",
        "/lib64",
        "/libx32",
        "/proc",
        "/etc/alternatives",
        "/etc/ld.so.cache",
        "/etc/ssl/openssl.cnf",
        "/dev/zero",
        "/dev/random",
        "/dev/urandom",
    };
    ruleset all = { .files = ACCESS_FIRST };
    if (abi >= CONFINE_ABI_MOVES) all.files |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= CONFINE_ABI_TRUNCATION) all.files |= ACCESS_TRUNCATE;
    if (abi >= CONFINE_ABI_SIGNALS) all.scopes = SCOPE_ALL;
    const int rules = (int)syscall(SYS_landlock_create_ruleset, &all, sizeof all, 0);
    if (rules < 0) return -1;
    bool is_fine =
        allow(rules, work, all.files) == 0 && allow(rules, tmp, all.files) == 0 &&
        allow(rules, "/dev/null", all.files & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE) == 0;
    for (size_t i = 0; i < sizeof readable / sizeof *readable && is_fine; i++)
        is_fine = allow(rules, readable[i], ACCESS_READ) == 0;
    if (is_fine) is_fine = syscall(SYS_landlock_restrict_self, rules, 0) == 0;
    const int error = errno;
    close(rules);
    errno = error;
    return is_fine ? 0 : -1;
}
