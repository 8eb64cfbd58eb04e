// One build of the row kernel: included once per instruction set, inside its namespace and under
// its target pragma, after a Simd was defined. No standard container is instantiated here, so that
// no code for one instruction set can stand in for another's at link time.
#include "cpu/row.h"
//
#include "cpu/row_scan.h"
//
#include "cpu/row_mass.h"
//
#include "cpu/row_weigh.h"
//
#include "cpu/row_sigma.h"
//
#include "cpu/row_list.h"
//
#include "cpu/row_edit.h"
//
#include "cpu/row_prefix.h"
//
#include "cpu/row_powers.h"
//
#include "cpu/row_entropy.h"
//
#include "cpu/row_sample.h"
//
#include "cpu/row_moments.h"
//
#include "cpu/row_forecast.h"
//
#include "cpu/row_plan.h"
//
#include "cpu/row_watch.h"
//
#include "cpu/row_settle.h"
//
#include "cpu/row_propose.h"
//
#include "cpu/row_survivors.h"
//
#include "cpu/row_stages.h"
//
#include "cpu/row_cut.h"
//
#include "cpu/row_given.h"
//
#include "cpu/row_draw.h"
//
#include "cpu/row_backward.h"

template <class T>
RowKernel<T> make_row_kernel() {
  return {&scan_row<T>, &edit_row<T>, &cut_row<T>,      &cut_given<T>,
          &list_ids<T>, &draw_row<T>, &add_gradient<T>, &exp_array};
}
