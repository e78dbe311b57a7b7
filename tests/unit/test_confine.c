/* SPDX-License-Identifier: Apache-2.0 */
/* Landlock's rules, by every version up to the kernel's: each in a child, since none takes them
 * back. */
#include "sandbox/confine.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

enum { NOBODY = 65534 };

static char base[] = "/tmp/enxame-test-confine-XXXXXX";
static char work[64], tmp[64], secret[64];

static bool opens(const char *path, int how)
{
    const int fd = open(path, how | O_CLOEXEC, 0600);
    if (fd >= 0) close(fd);
    return fd >= 0;
}

/* What is wrong in a child confined by version `abi`; 0: nothing. */
static int try_rules(int abi)
{
    char inside[80];
    snprintf(inside, sizeof inside, "%s/file", work);
    if (!opens(secret, O_RDONLY)) return 1; /* it could before */
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || enx_confine(abi, work, tmp) != 0) return 2;
    if (opens(secret, O_RDONLY) || opens(base, O_RDONLY) || opens("/etc/passwd", O_RDONLY))
        return 3;
    if (opens(secret, O_WRONLY) || unlink(secret) == 0 || rename(work, tmp) == 0) return 4;
    if (!opens("/usr/bin/env", O_RDONLY) || !opens("/proc/self/status", O_RDONLY)) return 5;
    if (opens("/usr/bin/new", O_WRONLY | O_CREAT)) return 6;
    if (!opens(inside, O_WRONLY | O_CREAT) || !opens(inside, O_RDONLY)) return 7;
    if (abi >= CONFINE_ABI_TRUNCATION && truncate(secret, 0) == 0) return 8;
    if (abi >= CONFINE_ABI_SIGNALS && kill(getppid(), 0) == 0) return 9;
    return unlink(inside) == 0 ? 0 : 10;
}

static void only_system_and_own_folders_are_reached(void **state)
{
    (void)state;
    const int newest = enx_confine_abi();
    if (newest == 0) skip();
    for (int abi = 1; abi <= newest; abi++) {
        int         status;
        const pid_t pid = fork();
        if (pid == 0) _exit(try_rules(abi));
        assert_int_equal(waitpid(pid, &status, 0), pid);
        assert_int_equal(status, 0);
    }
    assert_int_equal(access(secret, F_OK), 0);
}

static int confine_with_privileges(void)
{
    if (geteuid() == 0 && setresuid(NOBODY, NOBODY, NOBODY) != 0) return 1;
    if (enx_confine(enx_confine_abi(), work, tmp) == 0) return 2;
    return errno == EPERM && opens("/etc/passwd", O_RDONLY) ? 0 : 3;
}

static void who_may_get_privileges_is_not_confined_and_told(void **state)
{
    (void)state;
    if (enx_confine_abi() == 0) skip();
    int         status;
    const pid_t pid = fork();
    if (pid == 0) _exit(confine_with_privileges());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static int make_folders(void **state)
{
    (void)state;
    if (!mkdtemp(base) || chmod(base, 0755) != 0) return -1;
    snprintf(work, sizeof work, "%s/work", base);
    snprintf(tmp, sizeof tmp, "%s/tmp", base);
    snprintf(secret, sizeof secret, "%s/secret", base);
    const int fd = open(secret, O_CREAT | O_WRONLY | O_CLOEXEC, 0644);
    if (fd < 0 || write(fd, "x", 1) != 1) return -1;
    close(fd);
    return mkdir(work, 0777) || mkdir(tmp, 0777);
}

static int remove_folders(void **state)
{
    (void)state;
    return unlink(secret) || rmdir(work) || rmdir(tmp) || rmdir(base);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_system_and_own_folders_are_reached),
        cmocka_unit_test(who_may_get_privileges_is_not_confined_and_told),
    };
    return cmocka_run_group_tests(tests, make_folders, remove_folders);
}
