-- By what names images are known: summed, as a fleet tells of its few images with each container. Projections live in the
-- parts of their table and go with the rows.

ALTER TABLE container_events ADD PROJECTION IF NOT EXISTS image_names (
  SELECT image, image_ref, count() GROUP BY image, image_ref
);
ALTER TABLE container_events MATERIALIZE PROJECTION IF EXISTS image_names;
