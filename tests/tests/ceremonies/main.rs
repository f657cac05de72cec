//! Ceremonies as people hold them: `ingam ceremony` with the files of config/ceremony, each kind judged by programs that
//! nobody here wrote; what must not be made is refused with everything that is wrong; and what was made becomes a CA.
//!
//! Not a failure: the wording of sentences and of transcripts, as long as the thing and its remedy are named.

mod examples;
mod kinds;
mod room;
mod taken_over;
mod tokens;
