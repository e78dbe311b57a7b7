/* SPDX-License-Identifier: Apache-2.0 */
/* cli_svg.c - see cli_svg.h. */
#include "cli/cli_svg.h"

#include <math.h>
#include <stdio.h>

static const char style_sheet[] =
    "<style>\n"
    "text{font:11px system-ui,sans-serif;fill:#1f2328}\n"
    ".title{font-size:17px;font-weight:bold}.head{font-size:12px;font-weight:bold}\n"
    ".faint{fill:#59636e}.back{fill:#fff}\n"
    ".grid{stroke:#d8dee4}.axis{stroke:#59636e}.line{stroke:#0a3069;stroke-width:2;fill:none}\n"
    ".wide{fill:#c2ddf7}.half{fill:#6cb0ee}.less{fill:#e58a3c}.more{fill:#3f8fd6}\n"
    "@media (prefers-color-scheme:dark){\n"
    "text{fill:#f0f6fc}.faint{fill:#9198a1}.back{fill:#0d1117}\n"
    ".grid{stroke:#2a313a}.axis{stroke:#9198a1}.line{stroke:#cae8ff}\n"
    ".wide{fill:#153a63}.half{fill:#2a6cb0}.less{fill:#d98236}.more{fill:#4493e6}\n"
    "}\n</style>\n";

enx_status cli_svg_escape(enx_buf *out, const char *text)
{
    for (const char *at = text; *at; at++) {
        const unsigned char c = (unsigned char)*at;
        const char *const   name = c == '<'              ? "&lt;"
                                   : c == '>'            ? "&gt;"
                                   : c == '&'            ? "&amp;"
                                   : c < ' ' || c == 127 ? "?"
                                                         : NULL;
        if (name) ENX_TRY(enx_buf_append_text(out, name));
        else ENX_TRY(enx_buf_append(out, at, 1));
    }
    return ENX_OK;
}

enx_status cli_svg_open(enx_buf *out, int width, int height, const char *title,
                        const char *subtitle)
{
    ENX_TRY(enx_buf_printf(out,
                           "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
                           "viewBox=\"0 0 %d %d\">\n",
                           width, height, width, height));
    ENX_TRY(enx_buf_append_text(out, style_sheet));
    ENX_TRY(enx_buf_append_text(out, "<rect class=\"back\" width=\"100%\" height=\"100%\"/>\n"));
    ENX_TRY(cli_svg_text(out, "title", CLI_ANCHOR_START, 18, 28, title));
    return cli_svg_text(out, "faint", CLI_ANCHOR_START, 18, 47, subtitle);
}

enx_status cli_svg_close(enx_buf *out) { return enx_buf_append_text(out, "</svg>\n"); }

enx_status cli_svg_text(enx_buf *out, const char *style, cli_anchor anchor, double x, double y,
                        const char *text)
{
    static const char *const anchors[] = { "start", "middle", "end" };
    ENX_TRY(enx_buf_printf(out, "<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">",
                           style, anchors[anchor], x, y));
    ENX_TRY(cli_svg_escape(out, text));
    return enx_buf_append_text(out, "</text>\n");
}

enx_status cli_svg_number(enx_buf *out, const char *style, cli_anchor anchor, double x, double y,
                          double value)
{
    char text[32];
    if (fabs(value) >= 999.5 && fabs(value) < 1e5) snprintf(text, sizeof text, "%.0f", value);
    else snprintf(text, sizeof text, "%.3g", value);
    return cli_svg_text(out, style, anchor, x, y, text);
}

enx_status cli_svg_key(enx_buf *out, const char *style, double x, double y, const char *text)
{
    ENX_TRY(enx_buf_printf(
        out, "<rect class=\"%s\" x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\"/>\n", style, x,
        y - 10));
    return cli_svg_text(out, "faint", CLI_ANCHOR_START, x + 17, y, text);
}

double cli_svg_step(double span)
{
    const double power = pow(10, floor(log10(span / 3)));
    const double part = span / 3 / power;
    return power * (part >= 5 ? 5 : part >= 2 ? 2 : 1);
}
