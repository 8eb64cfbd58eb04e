// The 16-bit floating-point types, on hosts and devices.
#pragma once

#include <torch/headeronly/util/BFloat16.h>
#include <torch/headeronly/util/Half.h>
