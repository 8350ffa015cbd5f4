//! The one integration binary.

mod cost;
mod cost_bounds;
mod cost_files;
mod cost_ground_truth;
mod cost_known_answers;
mod cost_lines;
mod shared_data;
