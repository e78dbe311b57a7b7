/* SPDX-License-Identifier: Apache-2.0 */
/* test_held.c - held-out text is the same for all, whole characters, and each byte counts once. */
#include "train/held.h"

#include "base/buf.h"
#include "plat/file.h"
#include "train/bpe_train.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

enum { CONTEXT = 64, TOKENS = 256, TEXT_BYTES = 6000 };

static char           folder[64];
static enx_tokenizer *tokenizer;

static int make_text(void **state)
{
    (void)state;
    char text[TEXT_BYTES + 8] = "", path[128];
    for (size_t at = 0; at < TEXT_BYTES; at += 6) memcpy(text + at, "ã€x", 7);
    snprintf(folder, sizeof folder, "/tmp/enx_held_XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.txt", folder);
    assert_int_equal(enx_file_write(path, text, strlen(text), NULL), ENX_OK);
    static const char *const controls[] = { "<|end|>" };
    const enx_bpe_options    options = {
           .pre = "qwen2", .vocab_count = 257, .control_names = controls, .control_count = 1
    };
    enx_bpe *bpe = NULL;
    assert_int_equal(enx_bpe_open(&bpe, &options, NULL), ENX_OK);
    assert_int_equal(enx_bpe_feed(bpe, text, strlen(text), NULL), ENX_OK);
    assert_int_equal(enx_bpe_run(bpe, NULL), ENX_OK);
    assert_int_equal(enx_tokenizer_open_vocab(&tokenizer, enx_bpe_vocab(bpe), NULL), ENX_OK);
    enx_bpe_close(&bpe);
    return 0;
}

static int remove_text(void **state)
{
    (void)state;
    char command[128];
    enx_tokenizer_close(&tokenizer);
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

static enx_status open_held(enx_held **out, char *file, uint32_t bytes, enx_report *report)
{
    char *const            files[] = { file };
    const enx_held_options options = { .folder = folder,
                                       .files = files,
                                       .file_count = 1,
                                       .bytes = bytes,
                                       .context = CONTEXT,
                                       .tokenizer = tokenizer };
    return enx_held_open(out, &options, report);
}

static void windows_are_whole_characters_and_count_once(void **state)
{
    (void)state;
    uint32_t  tokens[TOKENS], targets[TOKENS], positions[TOKENS], ends[TOKENS];
    enx_batch batch = { .token_count = TOKENS,
                        .tokens = tokens,
                        .targets = targets,
                        .positions = positions,
                        .segment_ends = ends };
    enx_held *held = NULL;
    uint32_t  next = 0;
    uint64_t  count = 0, bytes = 0;
    char      file[] = "a.txt";
    assert_int_equal(open_held(&held, file, 2000, NULL), ENX_OK);
    while (enx_held_fill(held, &next, &batch)) {
        count += batch.target_count;
        assert_int_equal(batch.segment_ends[batch.segment_count - 1], TOKENS);
        for (uint32_t i = 0; i < TOKENS; i++) {
            if (targets[i] == ENX_TARGET_NONE) continue;
            const enx_gguf_str piece = enx_tokenizer_bytes(tokenizer, targets[i]);
            bytes += piece.size_bytes;
            /* a window begins behind <|end|>, and not inside a character */
            if (positions[i] == 0) assert_int_equal(tokens[i], enx_tokenizer_eos(tokenizer));
            if (positions[i] == 0) assert_true((piece.data[0] & 0xC0) != 0x80);
            else assert_int_equal(tokens[i], targets[i - 1]);
            assert_true(positions[i] < CONTEXT);
        }
    }
    assert_int_equal(next, enx_held_window_count(held));
    assert_int_equal(count, enx_held_token_count(held));
    assert_int_equal(bytes, enx_held_bytes(held));
    assert_true(bytes > 1800 && bytes < 2100);
    enx_held_close(&held);
}

static void the_same_files_give_the_same_text(void **state)
{
    (void)state;
    enx_held *a = NULL, *b = NULL, *c = NULL;
    char      file[] = "a.txt";
    assert_int_equal(open_held(&a, file, 2000, NULL), ENX_OK);
    assert_int_equal(open_held(&b, file, 2000, NULL), ENX_OK);
    assert_int_equal(open_held(&c, file, 3000, NULL), ENX_OK);
    assert_true(enx_held_hash(a) == enx_held_hash(b) && enx_held_hash(a) != enx_held_hash(c));
    enx_held_close(&a);
    enx_held_close(&b);
    enx_held_close(&c);
}

static void too_little_text_is_refused(void **state)
{
    (void)state;
    enx_held  *held = NULL;
    enx_report report = { 0 };
    char       file[] = "a.txt", none[] = "none.txt";
    assert_int_equal(open_held(&held, file, 100000, &report), ENX_INVALID);
    assert_non_null(strstr(report.text, "100000 bytes are asked for"));
    assert_int_equal(open_held(&held, file, 10, &report), ENX_INVALID);
    assert_int_equal(open_held(&held, none, 1000, &report), ENX_NOTFOUND);
    assert_null(held);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_are_whole_characters_and_count_once),
        cmocka_unit_test(the_same_files_give_the_same_text),
        cmocka_unit_test(too_little_text_is_refused),
    };
    return cmocka_run_group_tests(tests, make_text, remove_text);
}
