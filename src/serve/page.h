/* SPDX-License-Identifier: Apache-2.0 */
/* page.h - the web page, as the build found it (tools/embed_page.py).
 *
 * Layer: serve.  Thread-safety: no shared state.
 */
#ifndef ENX_SERVE_PAGE_H
#define ENX_SERVE_PAGE_H

extern const char          enx_page[], enx_page_gzip[], enx_page_frame[];
extern const unsigned long enx_page_bytes, enx_page_gzip_bytes, enx_page_frame_bytes;
extern const char          enx_page_tag[];    /* an ETag, in quotes */
extern const char          enx_page_policy[]; /* Content-Security-Policy of the page */

#endif /* ENX_SERVE_PAGE_H */
