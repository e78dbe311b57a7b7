/* SPDX-License-Identifier: Apache-2.0 */
/* bargain.h - what the certificate is measured against: BARGAIN's accuracy mode.
 *
 * Written from the paper's description and the behaviour of the released program, not from its
 * code.  20 prefixes of the answers, surest first, are tested in order with bets without
 * replacement, 10 labels at a time along one random permutation; a prefix is given up when 50
 * labels leave mean - deviation below what it needs, or when bets against it win.
 *
 * Layer: bench.  Thread-safety: no shared state.
 * Source: Zeighami, Shankar, Parameswaran, "Cut Costs, Not Accuracy: LLM-Powered Data Processing
 * with Guarantees", 2025 (arXiv 2509.02896); bets: Waudby-Smith and Ramdas, 2020.
 */
#ifndef ENX_BENCH_BARGAIN_H
#define ENX_BENCH_BARGAIN_H

#include <stdint.h>

typedef struct bargain_result {
    uint32_t accepted; /* prefix that keeps the worker's answers, but for labelled ones */
    uint32_t lead;     /* answers that the lead gave: outside the prefix, or labels */
} bargain_result;

/* wrong [count]: by rank, surest first.  order [count]: a random permutation of the ranks.
 * is_labelled [count]: scratch, zero at the start. */
bargain_result bargain_run(const uint8_t *wrong, const uint32_t *order, uint8_t *is_labelled,
                           uint32_t count, double target, double delta);

#endif /* ENX_BENCH_BARGAIN_H */
