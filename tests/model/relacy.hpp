// Relacy without relacy.hpp, which makes macros of `new`, `free` and the memory orders.
#pragma once

// What it includes itself comes first, as its `$` is a macro all the same.
#include <algorithm>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <iostream>
#include <map>
#include <queue>
#include <sstream>
#include <stack>
#include <string>
#include <vector>

#include <relacy/base.hpp>
// In the order in which they need each other.
#include <relacy/context.hpp>
#include <relacy/context_base_impl.hpp>

#include <relacy/atomic.hpp>
#include <relacy/stdlib/condition_variable.hpp>
#include <relacy/stdlib/event.hpp>
#include <relacy/stdlib/mutex.hpp>
#include <relacy/stdlib/semaphore.hpp>
#include <relacy/test_suite.hpp>
#include <relacy/var.hpp>
