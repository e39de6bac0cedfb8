//! The rules of the house that a machine can hold it to.
//!
//! Every file begins with its rules as data, each row with its reason. A test that fails says what
//! to do: nearly always to move the code, seldom to change the row. A changed row is a decision; it
//! comes with a page in `docs/adr`.

mod crates;
mod foreign;
mod form;
mod guide;
mod house;
mod secrets;
mod supply;
