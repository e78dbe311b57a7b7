/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_lexicon.c - a lexicon read from any bytes, or made from any text:
 *
 * (1) it is refused, or it can be saved, and read again it saves the same;
 * (2) its draft of a text that lost what it can lose is damaged to that text again, with chance
 *     or without.  (Where damage drops a mark between two invalid bytes they may become a letter,
 *     which can lose its accent in turn: there is nothing to check then.)
 *
 * The first byte: damage kinds, and whether the first half of the rest is a saved lexicon or the
 * text to make one from; the other half is the text to draft.
 */
#include "base/check.h"
#include "text/damage.h"
#include "text/lexicon.h"

#include <string.h>

enum { TEXT_BYTES_MAX = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_same(const enx_buf *a, const enx_buf *b)
{
    return a->size_bytes == b->size_bytes &&
           memcmp(enx_buf_text(a), enx_buf_text(b), a->size_bytes) == 0;
}

static void check_saved(const enx_lexicon *lexicon)
{
    enx_buf      first, second;
    enx_lexicon *again = NULL;
    enx_buf_init(&first, TEXT_BYTES_MAX);
    enx_buf_init(&second, TEXT_BYTES_MAX);
    ENX_CHECK(enx_lexicon_save(lexicon, &first, NULL) == ENX_OK);
    ENX_CHECK(enx_lexicon_open_bytes(&again, enx_buf_text(&first), first.size_bytes, NULL) ==
              ENX_OK);
    ENX_CHECK(enx_lexicon_save(again, &second, NULL) == ENX_OK);
    ENX_CHECK(is_same(&first, &second));
    enx_lexicon_close(&again);
    enx_buf_deinit(&first);
    enx_buf_deinit(&second);
}

static void check_draft(const enx_lexicon *lexicon, const char *text, size_t size, unsigned kinds)
{
    enx_rng rng = enx_rng_open(size, kinds);
    enx_buf damaged, draft, again;
    enx_buf_init(&damaged, TEXT_BYTES_MAX);
    enx_buf_init(&draft, TEXT_BYTES_MAX);
    enx_buf_init(&again, TEXT_BYTES_MAX);
    ENX_CHECK(enx_damage_kinds(&damaged, text, size, kinds, NULL) == ENX_OK);
    kinds &= ~(unsigned)ENX_DAMAGE_KIND_PUNCTUATION;
    ENX_CHECK(enx_damage_kinds(&again, enx_buf_text(&damaged), damaged.size_bytes, kinds, NULL) ==
              ENX_OK);
    const bool is_settled = is_same(&again, &damaged);
    for (int round = 0; round < 2 && is_settled; round++) {
        enx_buf_clear(&draft);
        enx_buf_clear(&again);
        ENX_CHECK(enx_lexicon_draft(lexicon, enx_buf_text(&damaged), damaged.size_bytes, kinds,
                                    round ? &rng : NULL, &draft, NULL) == ENX_OK);
        ENX_CHECK(enx_damage_kinds(&again, enx_buf_text(&draft), draft.size_bytes, kinds, NULL) ==
                  ENX_OK);
        ENX_CHECK(is_same(&again, &damaged));
    }
    enx_buf_deinit(&damaged);
    enx_buf_deinit(&draft);
    enx_buf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1) return 0;
    const uint8_t    head = data[0];
    const char      *rest = (const char *)data + 1;
    const size_t     half = (size - 1) / 2;
    enx_lexicon     *lexicon = NULL;
    const enx_status status = head & 8 ? enx_lexicon_open_bytes(&lexicon, rest, half, NULL)
                                       : enx_lexicon_open_text(&lexicon, rest, half, NULL);
    ENX_CHECK((status == ENX_OK) == (lexicon != NULL));
    if (!lexicon) return 0;
    check_saved(lexicon);
    check_draft(lexicon, rest + half, size - 1 - half, head & 7);
    enx_lexicon_close(&lexicon);
    return 0;
}
