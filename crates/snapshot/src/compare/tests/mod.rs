//! What the comparison promises, over whole snapshots.

mod damage;
mod histories;
mod records_of;
mod schemas;
mod silence;
mod support;
mod work;
