// Status codes: how every fallible function of the project reports.
//
// A function that can fail returns `enum dvg_status` and writes its outputs only on success. Whoever first
// knows the cause says it once, in one line, through dvg_fail(); everybody above passes the status up silently.
// The values are also the exit codes of the programs.
#ifndef DVG_BASE_STATUS_H
#define DVG_BASE_STATUS_H

enum dvg_status {
  DVG_OK = 0,
  DVG_ERROR_USAGE = 2,        // unknown option, bad value, contradictory settings
  DVG_ERROR_INPUT = 3,        // a file that is there but is not what it must be
  DVG_ERROR_IO = 4,           // open, read, write, rename failed; disk full; folder not writable
  DVG_ERROR_MEMORY = 5,       // allocation failed
  DVG_ERROR_NUMERIC = 6,      // NaN, infinity, overflow of an exact sum
  DVG_ERROR_INTERNAL = 7,     // a bug of this project
  DVG_STOPPED = 75            // a signal asked to stop; state is saved, the same command continues
};

#define DVG_CHECKED __attribute__((warn_unused_result))

// Returns the status of `call` from the enclosing function unless it is DVG_OK. For functions that hold
// nothing to release; the others use a `done:` label.
#define DVG_TRY(call)                                                                                        \
  do {                                                                                                       \
    enum dvg_status dvg_try_status_ = (call);                                                                \
    if (dvg_try_status_ != DVG_OK) return dvg_try_status_;                                                   \
  } while (0)

// Same, for functions that release what they hold at label `done` and return the variable `status`.
#define DVG_TRY_GOTO(call)                                                                                   \
  do {                                                                                                       \
    status = (call);                                                                                         \
    if (status != DVG_OK) goto done;                                                                         \
  } while (0)

#endif
