/* SPDX-License-Identifier: Apache-2.0 */
/* replay.c - runs a fuzz target over its corpus as a plain test.
 *
 *     replay_<target> [--mutations N] FILE|FOLDER...
 *
 * Each input is run as it is, then N times with seeded damage (flips, cuts, copies, numbers at
 * their limits), so that every test run fuzzes a little, the same way each time.  When the target
 * dies, the input that did it is named and written to ./crash-input.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "plat/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { INPUT_BYTES_MAX = 1 << 20, DAMAGES_MAX = 4 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t *current_bytes;
static size_t         current_size;
static const char    *current_path = "";
static unsigned       mutation_count, current_mutation, run_count;

static void say(const char *text) { (void)!write(STDERR_FILENO, text, strlen(text)); }

/* Only async-signal-safe calls in here. */
static void on_crash(int number)
{
    char digits[] = "0000000000";
    for (unsigned at = sizeof digits - 1, n = current_mutation; at-- > 0; n /= 10)
        digits[at] = (char)('0' + n % 10);
    say("replay: died on ");
    say(current_path);
    say(", mutation ");
    say(digits);
    say("; the bytes are in ./crash-input\n");
    const int fd = open("crash-input", O_WRONLY | O_CREAT | O_TRUNC, 0666);
    if (fd >= 0) (void)!write(fd, current_bytes, current_size);
    signal(number, SIG_DFL);
    raise(number);
}

/* A copy of the exact size, so that sanitizers see a read past the end. */
static void run_once(const uint8_t *bytes, size_t size_bytes)
{
    uint8_t *copy = enx_mem_new(size_bytes, 1);
    if (!copy) abort();
    if (size_bytes) memcpy(copy, bytes, size_bytes);
    current_bytes = copy;
    current_size = size_bytes;
    (void)LLVMFuzzerTestOneInput(copy, size_bytes);
    run_count++;
    enx_mem_free(copy);
}

/* Damage in place; returns the new size, never above the old one. */
static size_t damage(uint8_t *bytes, size_t size_bytes, enx_rng *rng)
{
    static const uint64_t limits[] = { 0,          1,          0x7F,       0xFF,
                                       0x7FFF,     0xFFFF,     0x10000,    0x7FFFFFFF,
                                       0xFFFFFFFF, 1ull << 40, 1ull << 63, UINT64_MAX };
    if (size_bytes == 0) return 0;
    const size_t at = (size_t)enx_rng_below(rng, size_bytes), left = size_bytes - at;
    switch (enx_rng_below(rng, 5)) {
    case 0:
        bytes[at] ^= (uint8_t)(1u << enx_rng_below(rng, 8));
        break;
    case 1:
        bytes[at] = (uint8_t)enx_rng_u64(rng);
        break;
    case 2:
        return at;
    case 3: {
        const uint64_t value = limits[enx_rng_below(rng, sizeof limits / sizeof *limits)];
        memcpy(bytes + at, &value, left < 8 ? left : enx_rng_below(rng, 2) ? 8 : 4);
        break;
    }
    default: {
        const size_t from = (size_t)enx_rng_below(rng, size_bytes);
        const size_t most = left < size_bytes - from ? left : size_bytes - from;
        memmove(bytes + at, bytes + from, (size_t)enx_rng_below(rng, most + 1));
    }
    }
    return size_bytes;
}

static void run_mutations(const uint8_t *bytes, size_t size_bytes)
{
    uint8_t *copy = enx_mem_new(size_bytes, 1);
    if (!copy) abort();
    for (current_mutation = 1; current_mutation <= mutation_count; current_mutation++) {
        enx_rng rng = enx_rng_open(size_bytes, current_mutation);
        size_t  size = size_bytes;
        if (size) memcpy(copy, bytes, size);
        for (uint64_t n = 1 + enx_rng_below(&rng, DAMAGES_MAX); n-- > 0;)
            size = damage(copy, size, &rng);
        run_once(copy, size);
    }
    current_mutation = 0;
    enx_mem_free(copy);
}

static int run_file(const char *path)
{
    enx_report report;
    enx_buf    buf;
    enx_buf_init(&buf, INPUT_BYTES_MAX);
    current_path = path;
    const enx_status status = enx_file_read(&buf, path, &report);
    if (status != ENX_OK) {
        fprintf(stderr, "replay: %s\n", report.text);
        enx_buf_deinit(&buf);
        return -1;
    }
    run_once((const uint8_t *)enx_buf_text(&buf), buf.size_bytes);
    run_mutations((const uint8_t *)enx_buf_text(&buf), buf.size_bytes);
    enx_buf_deinit(&buf);
    return 0;
}

static int is_visible(const struct dirent *entry) { return entry->d_name[0] != '.'; }

/* A file, or the files of a folder in the order of their names. */
static int run_path(const char *path)
{
    struct stat     facts;
    struct dirent **entries;
    if (stat(path, &facts) != 0 || !S_ISDIR(facts.st_mode)) return run_file(path);
    const int count = scandir(path, &entries, is_visible, alphasort);
    int       failed = count < 0 ? -1 : 0;
    for (int i = 0; i < count; i++) {
        char name[4096];
        snprintf(name, sizeof name, "%s/%s", path, entries[i]->d_name);
        failed |= run_file(name);
        free(entries[i]);
    }
    if (count >= 0) free(entries);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = 0, at = 1;
    if (argc > 2 && strcmp(argv[1], "--mutations") == 0) {
        mutation_count = (unsigned)strtoul(argv[2], NULL, 10);
        at = 3;
    }
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    signal(SIGFPE, on_crash);
    for (; at < argc; at++) failed |= run_path(argv[at]);
    printf("%u inputs survived\n", run_count);
    if (run_count == 0) fprintf(stderr, "replay: no input; give files or folders\n");
    return failed || run_count == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
