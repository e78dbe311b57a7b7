/* SPDX-License-Identifier: Apache-2.0 */
/* cli_scenario_keys.c - every key of a scenario: unit, range, default, and where a value is from.
 */
#include "cli/cli_scenario.h"

#include "base/check.h"

#include <string.h>

/* clang-format off */
const cli_scenario_key cli_scenario_keys[] = {
    { "name", "text", "to 255 bytes", "none", "yours" },
    { "about", "text", "to 4096 bytes", "none", "yours" },
    { "conduct", "a word", "bertrand (prices), cournot (quantities), both", "bertrand",
      "an assumption; claim 3 hangs on it" },
    { "alpha", "utility a USD", "above 0 to 1e9", "required, unless a margin is seen",
      "one margin seen: part of the price = load / (alpha price)" },
    { "rho", "1: models are alike to buyers", "0 to 0.999999", "0",
      "not measured; 0.93 gives the margins of solar panels in 2024" },
    { "gamma", "utility an e-fold of training", "0 to 100", "0",
      "not measured; 1.2 at an exponent of 0.155 fits four firms to today's margin" },
    { "law", "path of a law's file", "to 1023 bytes", "none",
      "enxame scale fit or odds, by --law; or --law FILE here" },
    { "size", "units a year if all bought", "above 0 to 1e18", "1",
      "revenue, price and share: size = revenue / (price share)" },
    { "outside", "utility of buying nothing", "-1e6 to 1e6, or none", "required",
      "0 by convention; none: everybody buys" },
    { "fringe", "utility of open weights at cost", "-1e6 to 1e6, or none", "none",
      "short form of open, for reference cases" },
    { "v", "list of utilities", "-1e6 to 1e6 each", "none", "short form: quality - alpha cost" },
    { "delta", "list of utilities", "-1e6 to 1e6 each", "none", "short form of quality" },
    { "c", "list, USD a unit", "0 to 1e15 each", "none", "short form of unit_cost" },
    { "owner", "list of firms, from 0", "below the number of products", "each its own",
      "short form of firms[].owner" },
    { "public", "list of products, from 0", "below their number", "none",
      "short form of firms[].public" },
    { "firms[].name", "text", "to 255 bytes", "none", "yours" },
    { "firms[].quality", "utility; with training, at reference_usd", "-1e6 to 1e6",
      "required, or price and share", "from price and share, by Berry's inversion" },
    { "firms[].unit_cost", "USD a unit", "0 to 1e15", "required, or price and share",
      "price less margin; a bill of a job by its tokens" },
    { "firms[].price", "USD a unit", "above 0 to 1e15", "none",
      "price lists: enxame market prices" },
    { "firms[].share", "of the market, not bought among it", "above 0 to 1", "none",
      "units sold by size" },
    { "firms[].margin", "of the price", "above 0 to 1", "not seen",
      "reports: 0.33 and 0.40 for two labs in 2025" },
    { "firms[].subsidy_usd", "USD a year", "0 to 1e15", "0", "yours" },
    { "firms[].owner", "number of a firm, from 0", "below the number of products", "its own",
      "yours" },
    { "firms[].public", "true: sold at cost", "true, false", "false", "yours" },
    { "training.spend", "a word", "fixed, endogenous", "fixed", "an assumption" },
    { "training.reference_usd", "USD a year", "1e-9 to 1e15", "1",
      "the spend of a firm at which its quality is the one listed" },
    { "entry.fixed_cost_usd", "USD a year, of a firm", "0 to 1e15", "required in entry", "yours" },
    { "entry.firms_max", "firms", "the number listed to 4096", "required in entry", "yours" },
    { "open.quality", "utility", "-1e6 to 1e6", "required in open, or lag_years", "yours" },
    { "open.unit_cost", "USD a unit", "0 to 1e15", "required in open",
      "prices of hosted open weights: enxame market prices" },
    { "open.lag_years", "years behind the best firm", "0 to 100", "none",
      "3 months in October 2025, 4 in May 2026 (Epoch AI)" },
    { "open.compute_growth", "effective compute, times a year", "1 to 1e6", "none",
      "4.6 for compute and about 2.6 for algorithms: 12" },
    { "open.place", "a word", "beside, inside", "beside", "inside: rivals in the nest" },
    { "layers.curvature", "a word: shape of demand", "linear, exponential, ces",
      "required in layers", "not known; it decides where layers are alike" },
    { "layers.elasticity", "of the last demand, for ces", "above 1 / firms to 1e6", "0", "yours" },
    { "layers.chain[].name", "text", "to 255 bytes", "required in chain", "yours" },
    { "layers.chain[].firms", "effective firms", "1 to 1e6", "required in chain",
      "1, 4.3 and 8 give gross profits of 78 : 15 : 7 back (April 2026)" },
    { "layers.hardware.margin", "of revenue", "0 to 1", "required in hardware",
      "0.711 for Nvidia in its year 2026, 0.73 for semiconductors" },
    { "layers.hardware.cost_share", "of unit cost", "0 to 1", "required in hardware", "yours" },
    { "layers.hardware.training_share", "of training", "0 to 1", "required in hardware", "yours" },
    { "claims.exponent", "of reducible loss in compute", "0.001 to 1", "0.155",
      "published fits: 0.15 to 0.18" },
    { "claims.training_counted", "1: all training", "0.01 to 100", "1",
      "final runs alone were 0.1 of one lab's in 2024" },
    { "claims.odds_low", "chance", "1e-6 to 1", "0.6", "claim 6: low or high" },
    { "claims.odds_high", "chance", "1e-6 to 1", "0.7", "claim 6: low or high" },
    { "claims.horizon_years", "years", "0.1 to 200", "5", "an assumption" },
    { "claims.value_years", "years", "1 to 1000", "10", "an assumption" },
    { "claims.discount", "factor a year", "1e-6 to 1", "0.9", "an assumption" },
    { "claims.public_cost_factor", "times the private cost", "0.01 to 100", "1",
      "an assumption" },
    { "future.odds", "chance that the law holds", "1e-6 to 1", "1",
      "a law's file; claim 6 speaks of 0.6 to 0.7" },
    { "future.horizon_years", "years the odds are for", "0.01 to 1000", "5", "an assumption" },
    { "future.stop_year", "first year without the law", "1 to 4294967295", "0: by the odds",
      "an assumption; or --stop-year" },
    { "future.demand_growth", "times a year", "0.01 to 100", "1",
      "revenue of the largest labs: about 3 a year from 2023 to 2026" },
    { "future.demand_sd", "of the logarithm, one rate a draw", "0 to 5", "0", "yours" },
    { "future.cost_factor", "times a year", "0.01 to 100", "1",
      "1 / 1.32: operations a dollar of 310 chips; prices at fixed quality fell 9 to 900 times" },
    { "future.cost_sd", "of the logarithm, one rate a draw", "0 to 5", "0", "yours" },
    { "future.gamma_sd", "of the logarithm, once a draw", "0 to 5", "0",
      "a law's file adds the error of its exponent" },
    { "future.noise_sd", "of the logarithm, a step a year", "0 to 5", "0",
      "0.13 for solar panels from 1976 to 2016" },
    { "future.quality_sd", "utility, a step a year of each product", "0 to 100", "0",
      "0.47: logarithms of four labs' shares of enterprise spending moved so in 2024" },
    { "future.learning_rate", "part that cost falls by a doubling", "0 to 0.9", "0",
      "enxame market learn; 0.202 for solar panels from 1976 to 2016" },
    { "future.units_before", "units sold before year 1", "1e-9 to 1e18", "1", "yours" },
    { "future.compute_growth", "effective compute a USD, times a year", "0.01 to 1000", "1",
      "1.30 for chips alone" },
    { "future.rho_after", "rho once the law has stopped", "0 to 0.999999", "0: rho stays",
      "an assumption" },
    { "future.open_lag_years", "years until open weights are level", "0 to 100", "1",
      "their lag while the law holds: 0.25 to 0.33" },
};
/* clang-format on */

const size_t cli_scenario_key_count = sizeof cli_scenario_keys / sizeof *cli_scenario_keys;

static const char *last_part(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot ? dot + 1 : path;
}

const cli_scenario_key *cli_scenario_key_find(const char *name)
{
    for (size_t i = 0; i < cli_scenario_key_count; i++)
        if (strcmp(last_part(cli_scenario_keys[i].path), name) == 0) return &cli_scenario_keys[i];
    return NULL;
}

/* The names that only hold others are not in the table. */
size_t cli_scenario_key_names(const char *names[CLI_SCENARIO_KEYS_MAX])
{
    static const char *const parts[] = { "firms", "training", "entry",  "open",  "layers",
                                         "chain", "hardware", "claims", "future" };
    const size_t             part_count = sizeof parts / sizeof *parts;
    ENX_CHECK(cli_scenario_key_count + part_count <= CLI_SCENARIO_KEYS_MAX);
    for (size_t i = 0; i < cli_scenario_key_count; i++)
        names[i] = last_part(cli_scenario_keys[i].path);
    memcpy(names + cli_scenario_key_count, parts, sizeof parts);
    return cli_scenario_key_count + part_count;
}
