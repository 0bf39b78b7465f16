// The report's style sheet: type, spacing and two sets of colours; no fonts and nothing else from outside.
#ifndef DVG_STAGES_INSPECT_HTML_STYLE_H
#define DVG_STAGES_INSPECT_HTML_STYLE_H

extern const char *const dvg_html_style;

#endif
