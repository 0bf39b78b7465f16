// The lineage of a run as a graph, from left to right: a box a stage, and one a thing that it was made from and that isn't there.
#ifndef DVG_STAGES_INSPECT_HTML_GRAPH_H
#define DVG_STAGES_INSPECT_HTML_GRAPH_H

#include <stdio.h>

#include "stages/inspect/run_scan.h"

// `note` (n of the run): a few words below each stage's name; "" for none. A box links to #stage-K, the stage's number.
DVG_CHECKED enum dvg_status dvg_html_graph(FILE *to, const struct dvg_run *r, char (*note)[64]);

#endif
