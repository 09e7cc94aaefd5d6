// The types that most programs read columns as and pass as parameters; the others are in headers of their own.
#pragma once

#include <lido/postgres/types/array.hpp>
#include <lido/postgres/types/bytea.hpp>
#include <lido/postgres/types/chrono.hpp>
#include <lido/postgres/types/converter.hpp>
#include <lido/postgres/types/enumeration.hpp>
#include <lido/postgres/types/json.hpp>
#include <lido/postgres/types/numeric.hpp>
#include <lido/postgres/types/uuid.hpp>
