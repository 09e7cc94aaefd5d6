// That this header is found, which is so of what links `lido::postgres_compiled`, says that the bodies of the
// operations are compiled elsewhere.
#pragma once
