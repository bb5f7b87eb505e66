//! The one place that speaks C: loads `libchdb.so` and wraps its handles, and tells the C library how
//! to hold memory.
//!
//! The functions and their contracts are those of `programs/local/chdb.h` of chdb-io/chdb-core.
//! Everything here returns owned, safe values; nothing outside this module touches a pointer.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;

use libloading::Library;

use crate::error::EngineError;
use crate::fetch::{self, FetchProgress};

/// Arenas of the C library's allocator: two threads work at a time on a small machine, and each
/// arena keeps what its busiest moment took.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const ARENAS: c_int = 2;
/// Allocations of this many bytes and more are the kernel's own pages, given back when freed.
/// Blocks of the log are about 1 MiB; snapshots and batches on their way to the engine are more.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MAPPED_BYTES_MIN: c_int = 1 << 20;

/// Makes the C library's allocator, which this process's own code uses, give freed memory back.
/// The engine has an allocator of its own inside and is not touched.
///
/// Left alone, glibc makes eight arenas a core and, once a large buffer is freed, serves the next
/// one from an arena (its threshold adapts up to 32 MiB, mallopt(3)): an import that has 180 MB
/// in use then holds 600 MB. Call it before the first thread starts. Does nothing where the C
/// library is another one.
pub fn bound_heap() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    for (parameter, value) in [
        (libc::M_ARENA_MAX, ARENAS),
        (libc::M_MMAP_THRESHOLD, MAPPED_BYTES_MIN),
        (libc::M_TRIM_THRESHOLD, MAPPED_BYTES_MIN),
    ] {
        // SAFETY: takes two numbers and points at nothing. A refusal leaves the default, which is
        // slower to give back and nothing worse.
        let _ = unsafe { libc::mallopt(parameter, value) };
    }
}

type ConnectionPtr = *mut c_void;
type ResultPtr = *mut c_void;
type Query =
    unsafe extern "C" fn(ConnectionPtr, *const c_char, usize, *const c_char, usize) -> ResultPtr;
type QueryWithParams = unsafe extern "C" fn(
    ConnectionPtr,
    *const c_char,
    usize,
    *const c_char,
    usize,
    *const *const c_char,
    *const usize,
    *const *const c_char,
    *const usize,
    usize,
) -> ResultPtr;

/// The functions of the library this crate calls.
struct Api {
    connect: unsafe extern "C" fn(c_int, *mut *mut c_char) -> *mut ConnectionPtr,
    close: unsafe extern "C" fn(*mut ConnectionPtr),
    query: Query,
    query_with_params: QueryWithParams,
    stream: Query,
    stream_with_params: QueryWithParams,
    fetch: unsafe extern "C" fn(ConnectionPtr, ResultPtr) -> ResultPtr,
    cancel: unsafe extern "C" fn(ConnectionPtr, ResultPtr),
    destroy: unsafe extern "C" fn(ResultPtr),
    buffer: unsafe extern "C" fn(ResultPtr) -> *mut c_char,
    length: unsafe extern "C" fn(ResultPtr) -> usize,
    elapsed: unsafe extern "C" fn(ResultPtr) -> f64,
    error: unsafe extern "C" fn(ResultPtr) -> *const c_char,
    result_rows: unsafe extern "C" fn(ResultPtr) -> u64,
    result_bytes: unsafe extern "C" fn(ResultPtr) -> u64,
    storage_rows: unsafe extern "C" fn(ResultPtr) -> u64,
    storage_bytes: unsafe extern "C" fn(ResultPtr) -> u64,
    rows_written: unsafe extern "C" fn(ResultPtr) -> u64,
    bytes_written: unsafe extern "C" fn(ResultPtr) -> u64,
}

/// ClickHouse's engine, loaded. It stays loaded until the process ends: it runs threads of its
/// own, so unloading it is not possible.
#[derive(Clone, Copy)]
pub struct EngineLibrary {
    api: &'static Api,
}

impl std::fmt::Debug for EngineLibrary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("EngineLibrary")
    }
}

impl EngineLibrary {
    /// Loads the engine: the library at `path` if one is given (any version, not checked by
    /// hash), else the pinned one from `cache`, fetching it there first with npm where it is not
    /// yet (once, 150 MB to carry and 559 MB on disk; `progress` is told).
    ///
    /// # Errors
    /// [`EngineError`], each with the remedy.
    pub fn obtain(
        path: Option<&Path>,
        cache: &Path,
        progress: impl Fn(FetchProgress),
    ) -> Result<Self, EngineError> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => fetch::obtain(cache, progress)?,
        };
        Self::load(&path)
    }

    /// Loads the library at `path`.
    ///
    /// # Errors
    /// Where the file is no shared library for this processor, or not a libchdb.
    pub fn load(path: &Path) -> Result<Self, EngineError> {
        fetch::check_elf(path)?;
        // SAFETY: loading runs the library's initialisers. The caller chose the file (--engine)
        // or it is the pinned one, checked by hash; it is kept loaded for the life of the process.
        let library = unsafe { Library::new(path) }.map_err(|e| EngineError::Load {
            path: path.to_owned(),
            reason: e.to_string(),
        })?;
        let api = Api::bind(&library, path)?;
        // SAFETY: `void (int)` by the header; without it the engine takes over the process's
        // signal handlers at the first connection.
        unsafe {
            let set = symbol::<unsafe extern "C" fn(c_int)>(
                &library,
                path,
                "chdb_set_signal_handlers_enabled",
            )?;
            set(0);
        }
        std::mem::forget(library);
        Ok(EngineLibrary {
            api: Box::leak(Box::new(api)),
        })
    }

    /// Opens a connection. The first one of a process starts the engine on `--path`.
    pub(crate) fn connect(self, args: &[String]) -> Option<RawConnection> {
        let args: Vec<CString> = std::iter::once("clickhouse")
            .chain(args.iter().map(String::as_str))
            .map(|arg| CString::new(arg).ok())
            .collect::<Option<_>>()?;
        let mut pointers: Vec<*mut c_char> = args.iter().map(|a| a.as_ptr().cast_mut()).collect();
        let count = c_int::try_from(pointers.len()).ok()?;
        // SAFETY: `pointers` holds `count` NUL-terminated strings that outlive the call; the
        // engine copies what it keeps and does not write to them.
        let handle = unsafe { (self.api.connect)(count, pointers.as_mut_ptr()) };
        NonNull::new(handle).map(|handle| RawConnection {
            api: self.api,
            handle,
        })
    }
}

/// Looks up one function.
///
/// # Safety
/// `T` must be the function's type by the header.
unsafe fn symbol<T: Copy>(
    library: &Library,
    path: &Path,
    name: &'static str,
) -> Result<T, EngineError> {
    // SAFETY: the caller vouches for the type.
    unsafe { library.get::<T>(name.as_bytes()) }
        .map(|found| *found)
        .map_err(|_| EngineError::MissingSymbol {
            path: PathBuf::from(path),
            symbol: name,
        })
}

impl Api {
    fn bind(library: &Library, path: &Path) -> Result<Api, EngineError> {
        // SAFETY: the types of the fields are those of the header of chdb-core.
        unsafe {
            Ok(Api {
                connect: symbol(library, path, "chdb_connect")?,
                close: symbol(library, path, "chdb_close_conn")?,
                query: symbol(library, path, "chdb_query_n")?,
                query_with_params: symbol(library, path, "chdb_query_with_params_n")?,
                stream: symbol(library, path, "chdb_stream_query_n")?,
                stream_with_params: symbol(library, path, "chdb_stream_query_with_params_n")?,
                fetch: symbol(library, path, "chdb_stream_fetch_result")?,
                cancel: symbol(library, path, "chdb_stream_cancel_query")?,
                destroy: symbol(library, path, "chdb_destroy_query_result")?,
                buffer: symbol(library, path, "chdb_result_buffer")?,
                length: symbol(library, path, "chdb_result_length")?,
                elapsed: symbol(library, path, "chdb_result_elapsed")?,
                error: symbol(library, path, "chdb_result_error")?,
                result_rows: symbol(library, path, "chdb_result_rows_read")?,
                result_bytes: symbol(library, path, "chdb_result_bytes_read")?,
                storage_rows: symbol(library, path, "chdb_result_storage_rows_read")?,
                storage_bytes: symbol(library, path, "chdb_result_storage_bytes_read")?,
                rows_written: symbol(library, path, "chdb_result_rows_written")?,
                bytes_written: symbol(library, path, "chdb_result_bytes_written")?,
            })
        }
    }
}

/// One connection; closed on drop. `&mut` for every statement, because a connection runs one at a
/// time and answers a second with nothing and no error.
pub(crate) struct RawConnection {
    api: &'static Api,
    handle: NonNull<ConnectionPtr>,
}

// SAFETY: the engine takes a mutex of its own for each call and ties no state to the calling
// thread, so a connection may be used from any thread, one at a time (`&mut self`).
unsafe impl Send for RawConnection {}

impl RawConnection {
    fn pointer(&self) -> ConnectionPtr {
        // SAFETY: `handle` came from chdb_connect and is freed in drop only.
        unsafe { *self.handle.as_ptr() }
    }

    /// Runs a statement and holds its whole result. Data of an INSERT may follow the text.
    pub(crate) fn query(
        &mut self,
        sql: &[u8],
        params: &[(String, String)],
        format: &str,
    ) -> RawResult {
        self.call(
            sql,
            params,
            format,
            self.api.query,
            self.api.query_with_params,
        )
    }

    /// Starts a SELECT whose result is fetched in chunks.
    pub(crate) fn stream(
        &mut self,
        sql: &[u8],
        params: &[(String, String)],
        format: &str,
    ) -> RawResult {
        self.call(
            sql,
            params,
            format,
            self.api.stream,
            self.api.stream_with_params,
        )
    }

    fn call(
        &self,
        sql: &[u8],
        params: &[(String, String)],
        format: &str,
        plain: Query,
        with_params: QueryWithParams,
    ) -> RawResult {
        let (text, format_text) = (sql.as_ptr().cast(), format.as_ptr().cast());
        let result = if params.is_empty() {
            // SAFETY: the connection is open; both texts are given with their lengths.
            unsafe { plain(self.pointer(), text, sql.len(), format_text, format.len()) }
        } else {
            let names: Vec<*const c_char> = params.iter().map(|(n, _)| n.as_ptr().cast()).collect();
            let name_lengths: Vec<usize> = params.iter().map(|(n, _)| n.len()).collect();
            let values: Vec<*const c_char> =
                params.iter().map(|(_, v)| v.as_ptr().cast()).collect();
            let value_lengths: Vec<usize> = params.iter().map(|(_, v)| v.len()).collect();
            // SAFETY: as above; the four arrays hold `params.len()` elements each and, with the
            // strings they point to, outlive the call. Values need no terminator (`_n`).
            unsafe {
                with_params(
                    self.pointer(),
                    text,
                    sql.len(),
                    format_text,
                    format.len(),
                    names.as_ptr(),
                    name_lengths.as_ptr(),
                    values.as_ptr(),
                    value_lengths.as_ptr(),
                    params.len(),
                )
            }
        };
        RawResult {
            api: self.api,
            handle: NonNull::new(result),
        }
    }

    /// The next chunk of `stream`. Not to be called after a chunk that ended the stream.
    pub(crate) fn fetch(&mut self, stream: &RawResult) -> RawResult {
        let handle = stream.handle.map_or(std::ptr::null_mut(), NonNull::as_ptr);
        // SAFETY: both handles are live; the engine answers a null stream with an error.
        let chunk = unsafe { (self.api.fetch)(self.pointer(), handle) };
        RawResult {
            api: self.api,
            handle: NonNull::new(chunk),
        }
    }

    /// Stops `stream`; the connection may be used again.
    pub(crate) fn cancel(&mut self, stream: &RawResult) {
        if let Some(handle) = stream.handle {
            // SAFETY: both handles are live.
            unsafe { (self.api.cancel)(self.pointer(), handle.as_ptr()) }
        }
    }
}

impl Drop for RawConnection {
    fn drop(&mut self) {
        // SAFETY: the handle is live and never used again. Results do not refer to it.
        unsafe { (self.api.close)(self.handle.as_ptr()) }
    }
}

/// A result of the engine's; freed on drop. Holds its bytes independently of the connection.
pub(crate) struct RawResult {
    api: &'static Api,
    handle: Option<NonNull<c_void>>,
}

// SAFETY: a result is a plain allocation of the engine's (whose allocator is thread-safe), read
// through const accessors; nothing in it is tied to a thread.
unsafe impl Send for RawResult {}
// SAFETY: the accessors used through `&self` only read.
unsafe impl Sync for RawResult {}

/// Counters of a finished statement or chunk, under the engine's names.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RawStats {
    pub(crate) result_rows: u64,
    pub(crate) result_bytes: u64,
    pub(crate) storage_rows: u64,
    pub(crate) storage_bytes: u64,
    pub(crate) rows_written: u64,
    pub(crate) bytes_written: u64,
    pub(crate) elapsed_seconds: f64,
}

impl RawResult {
    /// The engine's error text, if it is an error.
    pub(crate) fn error(&self) -> Option<String> {
        let Some(handle) = self.handle else {
            return Some("the engine returned no result".to_owned());
        };
        // SAFETY: the handle is live; the text is NUL-terminated and lives as long as the result.
        unsafe {
            let text = (self.api.error)(handle.as_ptr());
            (!text.is_null()).then(|| CStr::from_ptr(text).to_string_lossy().into_owned())
        }
    }

    /// The counters; meaningless (uninitialised by the engine) on an error result or a stream
    /// handle, so only asked of results and chunks without error.
    pub(crate) fn stats(&self) -> RawStats {
        let Some(handle) = self.handle.map(NonNull::as_ptr) else {
            return RawStats::default();
        };
        // SAFETY: the handle is live and not an error result (see above).
        unsafe {
            RawStats {
                result_rows: (self.api.result_rows)(handle),
                result_bytes: (self.api.result_bytes)(handle),
                storage_rows: (self.api.storage_rows)(handle),
                storage_bytes: (self.api.storage_bytes)(handle),
                rows_written: (self.api.rows_written)(handle),
                bytes_written: (self.api.bytes_written)(handle),
                elapsed_seconds: (self.api.elapsed)(handle),
            }
        }
    }
}

impl AsRef<[u8]> for RawResult {
    fn as_ref(&self) -> &[u8] {
        let Some(handle) = self.handle.map(NonNull::as_ptr) else {
            return &[];
        };
        // SAFETY: buffer and length describe one allocation that lives and does not move as long
        // as the result does, which `self` owns.
        unsafe {
            let length = (self.api.length)(handle);
            let buffer = (self.api.buffer)(handle);
            if length == 0 || buffer.is_null() {
                return &[];
            }
            std::slice::from_raw_parts(buffer.cast::<u8>(), length)
        }
    }
}

impl Drop for RawResult {
    fn drop(&mut self) {
        if let Some(handle) = self.handle {
            // SAFETY: the handle is live and never used again.
            unsafe { (self.api.destroy)(handle.as_ptr()) }
        }
    }
}
