// What cpu/kernels.h needs outside of a build's namespace.
#pragma once

#include <algorithm>
#include <cfloat>
#include <cmath>
#include <cstring>

#include "core/draw.h"
#include "core/logit.h"
#include "core/metropolis.h"
#include "core/philox.h"
#include "core/tilt/groups.h"
#include "core/tilt/tilt.h"
#include "core/wide.h"
#include "cpu/isa.h"
