// dvg-inspect --report: a run folder as one HTML file that needs nothing else: no network, no script; images as data, curves and the lineage's
// graph as SVG. Rank 0.
#ifndef DVG_STAGES_INSPECT_HTML_REPORT_H
#define DVG_STAGES_INSPECT_HTML_REPORT_H

#include "common/base/status.h"

// Not collective. Writes `out`, as a whole or not at all, of the run in `folder` as it is now; the same folder gives the same bytes. All text from
// files is escaped. DVG_ERROR_IO, DVG_ERROR_INPUT for a folder that can't be read or holds no run.
DVG_CHECKED enum dvg_status dvg_report_html(const char *out, const char *folder);

#endif
