// What a training step does besides products of matrices, in one pass each over rows that stay in
// the cache. The products themselves are ATen's (MKL, oneDNN). interp/passes/native.py says what each
// operator computes and holds the derivatives together; the tests hold all of it equal to
// interp/passes/packed.py, the reference.
//
// The loops are written for any vector width: the compiler is told -march=native. NaN and infinity
// go through everything as through PyTorch's own operators, so that divergence is seen.
//
// Activations come and go as float32. Products are made in the type of the weights they are given:
// float32, or bfloat16 (held as uint16_t here; sums over rows are kept in float32).

#include <torch/library.h>

#include "attention.h"
#include "mlp.h"

namespace sortscope {

TORCH_LIBRARY_FRAGMENT(sortscope, library) {
  library.def("drop", drop);
  library.def("mlp_forward", mlp_forward);
  library.def("mlp_backward", mlp_backward);
  library.def("attend_forward", attend_forward);
  library.def(
      "attend_backward(Tensor grad, Tensor kept, Tensor query, Tensor other, "
      "Tensor spans, Tensor blocked, int heads, int threshold, int seed, Tensor(a!) by_query, "
      "Tensor(b!) by_other) -> ()",
      attend_backward);
}

}  // namespace sortscope
