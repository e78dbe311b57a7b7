/* SPDX-License-Identifier: Apache-2.0 */
/* nearest.c - edit distance with swaps. */
#include "base/nearest.h"

#include <string.h>

static size_t smaller(size_t a, size_t b) { return a < b ? a : b; }

size_t enx_nearest_distance(const char *a, const char *b)
{
    const size_t a_size = strnlen(a, ENX_NEAREST_BYTES_MAX);
    const size_t b_size = strnlen(b, ENX_NEAREST_BYTES_MAX);
    size_t       cost[ENX_NEAREST_BYTES_MAX + 1][ENX_NEAREST_BYTES_MAX + 1];
    for (size_t i = 0; i <= a_size; i++) cost[i][0] = i;
    for (size_t j = 0; j <= b_size; j++) cost[0][j] = j;
    for (size_t i = 1; i <= a_size; i++)
        for (size_t j = 1; j <= b_size; j++) {
            const size_t shift = 1 + smaller(cost[i - 1][j], cost[i][j - 1]);
            cost[i][j] = smaller(shift, cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = smaller(cost[i][j], cost[i - 2][j - 2] + 1);
        }
    return cost[a_size][b_size];
}

const char *enx_nearest(const char *word, const char *const *words, size_t count)
{
    const char *best = NULL;
    size_t      best_distance = ENX_NEAREST_BYTES_MAX + 1;
    for (size_t i = 0; i < count; i++) {
        const size_t word_size = strlen(word), other_size = strlen(words[i]);
        const size_t longer = word_size > other_size ? word_size : other_size;
        const size_t distance = enx_nearest_distance(word, words[i]);
        if (2 * distance >= longer || distance >= best_distance) continue;
        best = words[i];
        best_distance = distance;
    }
    return best;
}
