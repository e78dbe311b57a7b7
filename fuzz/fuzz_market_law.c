/* SPDX-License-Identifier: Apache-2.0 */
/* fuzz_market_law.c - any bytes are a law or an error; a law's numbers are within their ranges. */
#include "cli/cli_market_law.h"

#include "base/check.h"

#include <math.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    cli_market_law law;
    enx_report     report = { 0 };
    if (cli_market_law_parse(&law, (const char *)data, size, "fuzz", &report) != ENX_OK) {
        ENX_CHECK(report.text[0]);
        return 0;
    }
    ENX_CHECK(law.exponent >= 1e-3 && law.exponent <= 1 && law.exponent_se >= 0);
    double sum = 0;
    for (int i = 0; law.has_odds && i < CLI_MARKET_LAW_ODDS; i++) {
        ENX_CHECK(law.odds[i] >= 0 && law.odds[i] <= 1);
        sum += law.odds[i];
    }
    if (law.has_odds) ENX_CHECK(fabs(sum - 1) < 0.01 && cli_market_law_goes_on(&law) <= sum);
    json_decref(cli_market_law_json(&law));
    return 0;
}
