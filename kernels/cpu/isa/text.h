// Everything of an instruction set that its vectors and its tile product do not decide: one text, compiled once in each
// instruction set's namespace.
#include "common/math.h"
#include "common/quantize.h"
#include "common/linear.h"
#include "common/norm.h"
#include "common/heads.h"
#include "common/attention.h"
#include "common/gather.h"

#define STRIZH_KERNELS(name, block_rows, shared_rows, enter, leave) \
  {name, block_rows, shared_rows, enter, leave, linear, normalize, quantize, query, key, value, attend, gather}
