//! Views of ndarray: the numbers of the slices that they look at, whatever the dimension and the order in memory.

use gradchain_arith::{Isa, Native, bf16, f16};
use gradchain_gradients::{
    Measured, NonFinite, Order, clip_arrays_by_norm, clip_by_norm, norm, norm_of_arrays,
};
use ndarray::{Array1, Array2, Array3, ArrayD, s};

fn check<T: Measured>() {
    let arith = Native::<T>::new(Isa::choose().unwrap());
    let number = |i: usize| T::round_from((i as f64 - 11.5) / 8.0);
    let cube = Array3::from_shape_fn((2, 3, 4), |(i, j, k)| number(12 * i + 4 * j + k));
    let matrix = Array2::from_shape_fn((5, 6), |(i, j)| number(6 * i + j));
    let empty = Array1::<T>::from_vec(Vec::new());
    // Turned, backwards, every second column, a window, and a single number.
    let views = || {
        [
            cube.view().into_dyn(),
            matrix.t().into_dyn(),
            matrix.slice(s![..;-1, ..;2]).into_dyn(),
            matrix.slice(s![1..4, 2..5]).into_dyn(),
            empty.view().into_dyn(),
            cube.slice(s![1, 2, 3]).into_dyn(),
        ]
    };
    let numbers: Vec<Vec<T>> = views().iter().map(|view| view.iter().copied().collect()).collect();
    let slices: Vec<&[T]> = numbers.iter().map(Vec::as_slice).collect();
    let expected = norm(&arith, Order::Two, &slices);
    assert_eq!(norm_of_arrays(&arith, Order::Two, &views()), expected, "{}", T::NAME);

    let mut arrays: Vec<ArrayD<T>> = views().iter().map(|view| view.to_owned()).collect();
    let limit = 0.3 * expected.to_f64();
    let mut copies = numbers.clone();
    let mut clipped: Vec<&mut [T]> = copies.iter_mut().map(Vec::as_mut_slice).collect();
    let report = clip_by_norm(&arith, Order::Two, limit, NonFinite::Error, &mut clipped).unwrap();
    // In place through views of views: rows and columns turned, so that nothing is contiguous.
    let mut wide: Vec<Array2<T>> = arrays
        .iter()
        .map(|array| {
            let mut wide = Array2::from_elem((array.len(), 3), T::round_from(7.0));
            wide.column_mut(1).iter_mut().zip(array).for_each(|(to, from)| *to = *from);
            wide
        })
        .collect();
    let mut columns: Vec<_> = wide.iter_mut().map(|wide| wide.column_mut(1).into_dyn()).collect();
    assert_eq!(
        clip_arrays_by_norm(&arith, Order::Two, limit, NonFinite::Error, &mut columns).unwrap(),
        report
    );
    for (wide, expected) in wide.iter().zip(&copies) {
        assert!(wide.column(1).iter().eq(expected), "{}", T::NAME);
        assert!(wide.column(0).iter().chain(wide.column(2)).all(|x| x.value() == 7.0), "{}", T::NAME);
    }
    let mut views: Vec<_> = arrays.iter_mut().map(|array| array.view_mut()).collect();
    assert_eq!(clip_arrays_by_norm(&arith, Order::Two, limit, NonFinite::Error, &mut views).unwrap(), report);
    for (array, expected) in arrays.iter().zip(&copies) {
        assert!(array.iter().eq(expected), "{}", T::NAME);
    }
}

#[test]
fn views_of_every_shape() {
    check::<f16>();
    check::<bf16>();
    check::<f32>();
    check::<f64>();
}
